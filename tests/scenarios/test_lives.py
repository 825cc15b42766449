"""Whatever dies and comes back: nothing lost, nothing twice, and what was there is found again."""

from __future__ import annotations

import os
import signal
import sys

from tests.scenarios.rig import CONFIG, STANDIN, Rig


def test_a_killed_daemon_finds_its_agents_again(rig: Rig) -> None:
    rig.add("web")
    session = rig.row("web")["session_id"]
    agent, program = rig.agents()[0].pid, rig.programs()[0].pid
    rig.kill()
    rig.start()
    rig.until(lambda: rig.row("web")["state"] == "ready", "web")
    assert rig.said("send", "web", "still there?") == "echo: still there?\n"
    assert ([p.pid for p in rig.agents()], [p.pid for p in rig.programs()]) == ([agent], [program])
    assert rig.row("web")["session_id"] == session


def test_a_send_that_waits_survives_the_daemons_death(rig: Rig) -> None:
    rig.add("web")
    client = rig.begin("send", "web", "[[delta 10 3 200]] long", "--id", "long")
    rig.until(lambda: "[[delta 10 3 200]] long" in rig.ran(), "its start")
    rig.kill()
    rig.start()
    out, err = client.communicate(timeout=30)
    assert (client.returncode, len(out)) == (0, 31)
    assert b"waiting for it" in err
    assert rig.ran() == ["[[delta 10 3 200]] long"]


def test_an_answer_given_while_no_daemon_was_there_is_not_lost(rig: Rig) -> None:
    rig.add("web")
    rig.said("send", "web", "[[slow 1]] meanwhile", "--id", "meanwhile", "--no-wait")
    rig.until(rig.ran, "its start")
    rig.kill()
    journal = rig.state_dir / "agents" / "web" / "journal"
    rig.daemon = None
    rig.until(lambda: b"meanwhile" in journal.read_bytes() and b"total_cost_usd" in journal.read_bytes(), "the answer")
    rig.start()
    assert rig.json("wait", "meanwhile")["text"].endswith("meanwhile")
    assert rig.ran() == ["[[slow 1]] meanwhile"]


def test_an_id_is_never_run_again_though_its_answer_is_gone(rig: Rig) -> None:
    rig.config.write_text(CONFIG + "[session]\nmax_history = 1\n")
    rig.kill(signal.SIGTERM)
    rig.start()
    rig.add("web")
    rig.said("send", "web", "once", "--id", "first")
    rig.said("send", "web", "another", "--id", "second")
    rig.kill()
    rig.start()
    again = rig.ctl("send", "web", "once", "--id", "first")
    assert (again.returncode, b"request first has ended (succeeded)" in again.stderr) == (4, True)
    assert rig.ctl("result", "first").returncode == 4
    assert rig.said("send", "web", "another", "--id", "second") == "echo: another\n"
    assert rig.ran() == ["once", "another"]


def test_what_waits_is_still_there_after_a_restart_and_in_order(rig: Rig) -> None:
    rig.add("web")
    rig.said("send", "web", "[[slow 1]] first", "--no-wait")
    ids = [rig.said("send", "web", f"waiting {n}", "--no-wait").strip() for n in range(5)]
    rig.kill()
    rig.start()
    assert [rig.json("wait", id_)["state"] for id_ in ids] == ["succeeded"] * 5
    assert rig.ran() == ["[[slow 1]] first", *(f"waiting {n}" for n in range(5))]


def test_a_killed_program_comes_back_with_its_session(rig: Rig) -> None:
    rig.add("web")
    before = rig.said("send", "web", "before")
    session = rig.row("web")["session_id"]
    rig.programs()[0].send_signal(signal.SIGKILL)
    assert (before, rig.said("send", "web", "after")) == ("echo: before\n", "echo: after\n")
    assert rig.row("web")["session_id"] == session
    assert rig.ran() == ["before", "after"]


def test_a_killed_agent_takes_its_program_along_and_both_come_back(rig: Rig) -> None:
    rig.add("web")
    rig.said("send", "web", "before")
    session, program = rig.row("web")["session_id"], rig.programs()[0]
    rig.agents()[0].send_signal(signal.SIGKILL)
    program.wait(10)
    assert rig.said("send", "web", "after") == "echo: after\n"
    assert rig.row("web")["session_id"] == session


def test_a_prompt_in_the_middle_of_which_the_program_died_is_uncertain(rig: Rig) -> None:
    rig.add("web")
    client = rig.begin("send", "web", "[[hang]] dies", "--id", "dies")
    rig.until(rig.ran, "its start")
    rig.programs()[0].send_signal(signal.SIGKILL)
    _, err = client.communicate(timeout=20)
    assert (client.returncode, b"it may have run" in err) == (7, True)
    assert rig.said("send", "web", "next") == "echo: next\n"
    assert rig.ran() == ["[[hang]] dies", "next"]


def test_an_uncertain_prompt_is_repeated_for_those_who_ask_for_it(rig: Rig) -> None:
    rig.add("web")
    client = rig.begin("send", "web", "[[slow 1]] twice", "--retry-uncertain")
    rig.until(rig.ran, "its start")
    rig.programs()[0].send_signal(signal.SIGKILL)
    out, _ = client.communicate(timeout=20)
    assert (client.returncode, out) == (0, b"echo: [[slow 1]] twice\n")
    assert rig.ran() == ["[[slow 1]] twice"] * 2


def test_a_program_that_cannot_start_is_given_up_with_its_words(rig: Rig) -> None:
    program = ["--program", sys.executable, str(STANDIN)]
    done = rig.ctl("add", "bad", "--process", "--env", "CCBRIDGE_STANDIN_FAULTS=fail-start", *program)
    assert done.returncode == 1
    assert b"Claude Code ended with status" in done.stderr
    rig.until(lambda: rig.row("bad")["state"] == "failed", "giving up")
    assert "Claude Code ended with status" in rig.row("bad")["reason"]
    refused = rig.ctl("send", "bad", "hi")
    assert (refused.returncode, b"ccbridgectl start bad" in refused.stderr) == (3, True)


def test_a_program_that_does_not_exist_is_said_at_once(rig: Rig) -> None:
    done = rig.ctl("add", "none", "--process", "--program", "/nonexistent/claude")
    assert done.returncode == 1
    assert b"/nonexistent/claude" in done.stderr
    assert rig.row("none")["state"] == "failed"


def test_term_ends_the_daemon_and_leaves_the_instances(rig: Rig) -> None:
    rig.add("web")
    assert rig.kill(signal.SIGTERM) == 0
    assert len(rig.agents()) == len(rig.programs()) == 1
    rig.start()
    assert rig.said("send", "web", "hi") == "echo: hi\n"


def test_stop_ends_agent_and_program_and_start_resumes_the_session(rig: Rig) -> None:
    rig.add("web")
    rig.said("send", "web", "before")
    session = rig.row("web")["session_id"]
    rig.said("stop", "web")
    assert (rig.agents(), rig.row("web")["state"]) == ([], "stopped")
    refused = rig.ctl("send", "web", "hi")
    assert (refused.returncode, b"web is stopped; start it: ccbridgectl start web" in refused.stderr) == (3, True)
    rig.kill()
    rig.start()
    assert (rig.agents(), rig.row("web")["state"]) == ([], "stopped")
    rig.said("start", "web")
    assert rig.said("send", "web", "after") == "echo: after\n"
    assert rig.row("web")["session_id"] == session


def test_a_restart_keeps_session_and_queue(rig: Rig) -> None:
    rig.add("web")
    rig.said("send", "web", "before")
    session, agent = rig.row("web")["session_id"], rig.agents()[0].pid
    rig.said("restart", "web")
    assert rig.row("web")["session_id"] == session
    assert rig.agents()[0].pid != agent


def test_remove_leaves_nothing_behind(rig: Rig) -> None:
    rig.add("web")
    rig.add("api")
    waiting = rig.begin("send", "web", "[[hang]]")
    rig.until(rig.ran, "its start")
    follower = rig.begin("events", "web", "-f")
    rig.said("remove", "-y", "web")
    assert waiting.wait(10) == 6
    assert {row["name"] for row in rig.json("list")} == {"api"}
    assert len(rig.agents()) == 1
    left = [str(path.relative_to(rig.state_dir)) for path in rig.state_dir.rglob("*web*")]
    assert left == []
    rig.add("web")
    assert rig.json("history", "web") == []
    follower.kill()


def test_instances_of_the_configuration_are_started_and_hup_reads_it_again(rig: Rig) -> None:
    section = f"""
[instances.{{name}}]
runtime = "process"
program = ["{sys.executable}", "{STANDIN}"]
workdir = "/"
"""
    rig.config.write_text(CONFIG + section.format(name="one"))
    assert rig.daemon
    rig.daemon.send_signal(signal.SIGHUP)
    rig.until(lambda: [(r["name"], r["state"]) for r in rig.json("list")] == [("one", "ready")], "one")
    rig.config.write_text("[daemon]\nnonsense = 1\n")
    rig.daemon.send_signal(signal.SIGHUP)
    rig.until(lambda: "the old configuration stays" in rig.log.read_text(), "word of the bad one")
    assert rig.said("send", "one", "hi") == "echo: hi\n"
    rig.config.write_text(CONFIG + '[daemon]\nlog_format = "json"\n')
    rig.daemon.send_signal(signal.SIGHUP)
    told = "daemon.log_format has changed; it takes effect when ccbridged is restarted"
    rig.until(lambda: told in rig.log.read_text(), "word of what has to wait")
    rig.config.write_text(CONFIG + section.format(name="one") + section.format(name="two"))
    rig.kill()
    rig.start()
    rig.until(lambda: {r["name"]: r["state"] for r in rig.json("list")} == {"one": "ready", "two": "ready"}, "both")


def test_no_secret_is_where_others_could_find_it(rig: Rig) -> None:
    secret = "s3cr3t-" + os.urandom(8).hex()
    rig.config.write_text(CONFIG + '[daemon]\nlog_level = "debug"\n')
    rig.kill()
    rig.start()
    rig.add("web", env=[f"TOKEN={secret}"])
    rig.said("send", "web", "hi")
    found = [path for path in rig.directory.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert sorted(path.name for path in found) == ["env", "web.json"]
    assert {path.stat().st_mode & 0o777 for path in found} == {0o600}
    shown = rig.said("status", "web", "--json") + rig.said("events") + rig.said("logs", "web")
    assert secret not in shown
    assert '"TOKEN"' in shown
    for process in [*rig.agents(), *rig.programs()]:
        assert not any(secret in word for word in process.cmdline())


def test_an_agent_that_is_stopped_is_missed_and_found_again(rig: Rig) -> None:
    rig.add("web")
    agent = rig.agents()[0]
    agent.suspend()
    rig.kill()
    rig.start()
    assert rig.row("web")["state"] == "connecting"
    agent.resume()
    assert rig.said("send", "web", "awake?") == "echo: awake?\n"
