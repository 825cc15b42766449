BEGIN TRANSACTION;
CREATE TABLE chunks (
    instance TEXT NOT NULL, last INTEGER NOT NULL, count INTEGER NOT NULL, bytes INTEGER NOT NULL,
    PRIMARY KEY (instance, last)
) WITHOUT ROWID;
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, instance TEXT NOT NULL, request TEXT NOT NULL,
    type TEXT NOT NULL, body TEXT NOT NULL
);
INSERT INTO "events" VALUES(1,1.79525235818654894828e+09,'web','done','request','{"id": "done", "state": "queued", "position": 0}');
INSERT INTO "events" VALUES(2,1.79525235818654894828e+09,'web','done','state','{"id": "done", "state": "delivered", "attempt": 1}');
INSERT INTO "events" VALUES(3,1.79525235819352555277e+09,'web','done','state','{"id": "done", "state": "running", "attempt": 1}');
INSERT INTO "events" VALUES(4,1.79525235819525313379e+09,'web','done','output','{"message":{"type":"system","subtype":"init","cwd":"{directory}","tools":["AskUserQuestion","Bash","Edit","Read","Write"],"mcp_servers":[],"model":"claude-standin","permissionMode":"default","claude_code_version":"2.1.329","capabilities":["interrupt_receipt_v1","interrupt_cancel_queued_v1","msg_lifecycle_v1"],"uuid":"a191be48-673b-4ef5-8d19-a301b86f00fb","user_message_uuids":["a63bc682-f3d5-42d4-80c3-b73d7811019a"],"session_id":"0cb700ad-fdd9-4606-87b2-ba107ab66165"}}');
INSERT INTO "events" VALUES(5,1.79525235820080327981e+09,'web','done','output','{"message":{"type":"system","subtype":"status","status":"requesting","uuid":"56fdda75-0ef5-4a61-9221-cc52b9215bcf","user_message_uuids":["a63bc682-f3d5-42d4-80c3-b73d7811019a"],"session_id":"0cb700ad-fdd9-4606-87b2-ba107ab66165"}}');
INSERT INTO "events" VALUES(6,1.79525235820240163797e+09,'web','done','output','{"message":{"type":"stream_event","event":{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-standin","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":10,"output_tokens":1}}},"parent_tool_use_id":null,"uuid":"a981d370-568d-44a2-a154-5cbf34c0ff78","api_message_id":"msg_1","user_message_uuid":"a63bc682-f3d5-42d4-80c3-b73d7811019a","user_message_uuids":["a63bc682-f3d5-42d4-80c3-b73d7811019a"],"session_id":"0cb700ad-fdd9-4606-87b2-ba107ab66165"}}');
INSERT INTO "events" VALUES(7,1.79525235820240163797e+09,'web','done','output','{"message":{"type":"stream_event","event":{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}},"parent_tool_use_id":null,"uuid":"33a32eb9-a400-4ada-92bf-bd2b8a881bf7","api_message_id":"msg_1","session_id":"0cb700ad-fdd9-4606-87b2-ba107ab66165"}}');
INSERT INTO "events" VALUES(8,1.79525235820240163797e+09,'web','done','output','{"message":{"type":"stream_event","event":{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"echo: done"}},"parent_tool_use_id":null,"uuid":"e3067654-4bff-490b-a2d1-273592254b18","api_message_id":"msg_1","session_id":"0cb700ad-fdd9-4606-87b2-ba107ab66165"}}');
INSERT INTO "events" VALUES(9,1.79525235820240163797e+09,'web','done','output','{"message":{"type":"assistant","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-standin","content":[{"type":"text","text":"echo: done"}],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":10,"output_tokens":1}},"parent_tool_use_id":null,"uuid":"bf9ce78c-db6e-454a-9ac7-c0ed3775091b","timestamp":"2026-11-21T09:12:38.000Z","user_message_uuid":"a63bc682-f3d5-42d4-80c3-b73d7811019a","user_message_uuids":["a63bc682-f3d5-42d4-80c3-b73d7811019a"],"session_id":"0cb700ad-fdd9-4606-87b2-ba107ab66165"}}');
INSERT INTO "events" VALUES(10,1.79525235820405554775e+09,'web','done','output','{"message":{"type":"stream_event","event":{"type":"content_block_stop","index":0},"parent_tool_use_id":null,"uuid":"99dbad95-6625-49ac-942f-33ff34e12546","api_message_id":"msg_1","session_id":"0cb700ad-fdd9-4606-87b2-ba107ab66165"}}');
INSERT INTO "events" VALUES(11,1.79525235820405554775e+09,'web','done','output','{"message":{"type":"stream_event","event":{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":2}},"parent_tool_use_id":null,"uuid":"00a1a458-45ed-4ac6-ae60-5abaf63c1cc2","api_message_id":"msg_1","session_id":"0cb700ad-fdd9-4606-87b2-ba107ab66165"}}');
INSERT INTO "events" VALUES(12,1.79525235820405554775e+09,'web','done','output','{"message":{"type":"stream_event","event":{"type":"message_stop"},"parent_tool_use_id":null,"uuid":"f6ba46e8-b57a-4ce3-91bf-18b99225a7db","api_message_id":"msg_1","session_id":"0cb700ad-fdd9-4606-87b2-ba107ab66165"}}');
INSERT INTO "events" VALUES(13,1.79525235820405554775e+09,'web','done','output','{"message":{"type":"result","duration_ms":1,"duration_api_ms":0,"uuid":"894c962e-54fe-41e1-a57c-406d7a656705","total_cost_usd":0.0001,"usage":{"input_tokens":10,"output_tokens":2},"modelUsage":{},"queued_turn_count":0,"result_index":0,"permission_denials":[],"stop_reason":"end_turn","subtype":"success","is_error":false,"terminal_reason":"completed","num_turns":1,"api_error_status":null,"result":"echo: done","user_message_uuid":"a63bc682-f3d5-42d4-80c3-b73d7811019a","user_message_uuids":["a63bc682-f3d5-42d4-80c3-b73d7811019a"],"session_id":"0cb700ad-fdd9-4606-87b2-ba107ab66165"}}');
INSERT INTO "events" VALUES(14,1.79525235820405554775e+09,'web','done','result','{"id": "done", "state": "succeeded", "text": "echo: done", "session_id": "0cb700ad-fdd9-4606-87b2-ba107ab66165", "cost_usd": 0.0001, "usage": {"input_tokens": 10, "output_tokens": 2}, "duration_ms": 17, "attempts": 1, "error": null}');
INSERT INTO "events" VALUES(15,1.7952523582265789509e+09,'web','held','request','{"id": "held", "state": "queued", "position": 0}');
INSERT INTO "events" VALUES(16,1.7952523582265789509e+09,'web','held','state','{"id": "held", "state": "delivered", "attempt": 1}');
INSERT INTO "events" VALUES(17,1.79525235823419308661e+09,'web','held','state','{"id": "held", "state": "running", "attempt": 1}');
INSERT INTO "events" VALUES(18,1.79525235823559570309e+09,'web','held','output','{"message":{"type":"system","subtype":"init","cwd":"{directory}","tools":["AskUserQuestion","Bash","Edit","Read","Write"],"mcp_servers":[],"model":"claude-standin","permissionMode":"default","claude_code_version":"2.1.329","capabilities":["interrupt_receipt_v1","interrupt_cancel_queued_v1","msg_lifecycle_v1"],"uuid":"44c797e2-f1b3-457e-8996-06e05895f7c8","user_message_uuids":["c2c00431-4f91-4e28-86f5-c4724fd74d9c"],"session_id":"0cb700ad-fdd9-4606-87b2-ba107ab66165"}}');
INSERT INTO "events" VALUES(19,1.79525235824146080013e+09,'web','held','output','{"message":{"type":"system","subtype":"status","status":"requesting","uuid":"5e72aa33-432f-4780-8843-def2e1328b9d","user_message_uuids":["c2c00431-4f91-4e28-86f5-c4724fd74d9c"],"session_id":"0cb700ad-fdd9-4606-87b2-ba107ab66165"}}');
INSERT INTO "events" VALUES(20,1.79525235825161981581e+09,'web','waited','request','{"id": "waited", "state": "queued", "position": 1}');
CREATE TABLE instances (name TEXT PRIMARY KEY, body TEXT NOT NULL);
INSERT INTO "instances" VALUES('web','{"spec":{"name":"web","runtime":"process","container":"","image":"","transport":"auto","driver":"claude","program":["{python}","{standin}"],"args":[],"workdir":"{directory}","env_names":["CCBRIDGE_STANDIN_RECORD"],"docker":{},"durability":"power"},"wanted":true,"ending":"","facts":{"pid":29695},"agent":{"digest":"a4425831a089620772a6ed326e9bf0f03074f443e560fdcda2c4d35cb02c89b4","pid":29695,"version":"0.1.0","python":"3.11.7","user":"root"},"memory":{"phase":"ready","life":1,"session_id":"0cb700ad-fdd9-4606-87b2-ba107ab66165","transcript":"/root/.claude/projects/-tmp-ccb-f6kp1vjr/0cb700ad-fdd9-4606-87b2-ba107ab66165.jsonl","version":"2.1.329","barrier":true,"lifecycle":true,"settling":"","tools":[],"approvals":[],"spent":0.0001,"banked":0.0}}');
CREATE TABLE links (
    name TEXT PRIMARY KEY, next_seq INTEGER NOT NULL, peer_journal TEXT NOT NULL, peer_generation INTEGER NOT NULL,
    base INTEGER NOT NULL, committed INTEGER NOT NULL
);
INSERT INTO "links" VALUES('web',7,'da0d7e2aa335a633bb8e1c9ec26c1744',1099511744764,0,22);
CREATE TABLE logs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, instance TEXT NOT NULL, source TEXT NOT NULL,
    line TEXT NOT NULL
);
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO "meta" VALUES('epoch',1);
INSERT INTO "meta" VALUES('journal','fcbba24be1895e69e54ad15a04e50c6e');
CREATE TABLE outbox (
    name TEXT NOT NULL, seq INTEGER NOT NULL, text TEXT NOT NULL, PRIMARY KEY (name, seq)
) WITHOUT ROWID;
CREATE TABLE prompts (id TEXT PRIMARY KEY, text BLOB NOT NULL);
INSERT INTO "prompts" VALUES('done',X'646F6E65');
INSERT INTO "prompts" VALUES('held',X'5B5B736C6F7720315D5D2068656C64');
INSERT INTO "prompts" VALUES('waited',X'776169746564');
CREATE TABLE requests (
    place INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, instance TEXT NOT NULL, open INTEGER NOT NULL,
    body TEXT NOT NULL
);
INSERT INTO "requests" VALUES(1,'done','web',0,'{"id":"done","instance":"web","created":1795252358.1863012,"timeout":0,"retry_uncertain":false,"state":"succeeded","place":0,"attempt":"a63bc682-f3d5-42d4-80c3-b73d7811019a","attempts":1,"delivered_at":1795252358.1863012,"ending":"","finished":1795252358.203647,"result":{"id":"done","state":"succeeded","text":"echo: done","session_id":"0cb700ad-fdd9-4606-87b2-ba107ab66165","cost_usd":0.0001,"usage":{"input_tokens":10,"output_tokens":2},"duration_ms":17,"attempts":1,"error":null}}');
INSERT INTO "requests" VALUES(5,'held','web',1,'{"id":"held","instance":"web","created":1795252358.226319,"timeout":0,"retry_uncertain":false,"state":"running","place":0,"attempt":"c2c00431-4f91-4e28-86f5-c4724fd74d9c","attempts":1,"delivered_at":1795252358.226319,"ending":""}');
INSERT INTO "requests" VALUES(8,'waited','web',1,'{"id":"waited","instance":"web","created":1795252358.2514467,"timeout":0,"retry_uncertain":false,"state":"queued","place":1,"attempt":"","attempts":0,"delivered_at":0.0,"ending":""}');
CREATE INDEX requests_of ON requests (instance, open);
CREATE INDEX events_of_instance ON events (instance);
CREATE INDEX events_of_request ON events (request) WHERE request <> '';
CREATE INDEX logs_of ON logs (instance);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('requests',8);
INSERT INTO "sqlite_sequence" VALUES('events',20);
COMMIT;
PRAGMA application_id = 1667457650;
PRAGMA user_version = 1;
