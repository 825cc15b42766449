"""Every fault that this bridge promises to survive, and the tests that inject it: ``file::test``, below ``tests/``.

Pure where that is honest, on the real thing where it is not. That each named test exists is a test.
"""

FAULTS: dict[str, list[str]] = {
    "kill -9 of the daemon at any read, write, commit and sync": [
        "scenarios/test_faults_of_moments.py::test_a_daemon_killed_at_any_call_loses_and_repeats_nothing",
        "scenarios/test_torture.py::test_two_hundred_deaths_lose_nothing_and_repeat_nothing",
    ],
    "kill -9 of the agent at any read, write, commit and sync": [
        "scenarios/test_faults_of_moments.py::"
        "test_an_agent_killed_at_any_call_repeats_nothing_and_says_what_is_uncertain",
        "scenarios/test_lives.py::test_a_killed_agent_takes_its_program_along_and_both_come_back",
    ],
    "kill -9 between any two steps of either end, of both, in any order": [
        "pure/test_link_machine.py::test_no_sequence_of_faults_loses_or_repeats_a_message",
        "pure/test_link_mutants.py::test_a_mutant_that_breaks_the_promise_is_caught_by_the_state_machine",
    ],
    "kill -9 of the program": [
        "scenarios/test_lives.py::test_a_prompt_in_the_middle_of_which_the_program_died_is_uncertain",
        "scenarios/test_torture.py::test_nor_do_three_hundred_deaths_of_the_real_claude",
    ],
    "kill -9 of a client": [
        "scenarios/test_sending.py::test_a_client_that_dies_leaves_its_request_running",
        "system/test_control.py::test_a_client_that_is_killed_is_told",
    ],
    "docker kill": [
        "docker/test_docker_runtime.py::test_a_killed_container_is_started_again_with_its_journal",
        "scenarios/test_torture.py::test_nor_do_fifty_with_a_container",
    ],
    "docker restart": ["docker/test_main_job.py::test_a_container_that_was_restarted_is_found_again_with_its_session"],
    "docker rm, and the container made anew": [
        "docker/test_main_job.py::test_a_container_that_was_removed_and_made_again_is_used_without_further_ado",
        "docker/test_docker_runtime.py::test_a_container_that_was_taken_away_is_made_anew",
        "docker/test_kept_homes.py::test_a_session_goes_on_in_a_container_that_was_made_anew",
    ],
    "an engine that is killed, and started again": [
        "docker/test_engine_lives.py::test_an_engine_that_is_killed_and_started_again_gets_its_instances_back",
        "docker/test_engine_events.py::test_an_engine_that_goes_is_told_once_and_found_again_by_itself",
    ],
    "an engine that is away": [
        "docker/test_engine_lives.py::test_without_an_engine_an_instance_goes_on_and_health_has_the_word_for_it",
        "docker/test_engine_lives.py::test_what_died_while_there_was_no_engine_comes_back_with_it",
        "docker/test_docker_runtime.py::test_an_engine_that_is_not_there_is_told_without_a_trace",
        "docker/test_main_job.py::test_an_engine_that_is_not_there_is_said_to_be_so_and_nothing_is_left",
    ],
    "the daemon upgraded, and downgraded": [
        "scenarios/test_upgrade.py::test_an_agent_goes_on_when_the_daemon_is_upgraded_and_is_said_not_to_be_current",
        "scenarios/test_upgrade.py::test_another_version_of_the_link_is_refused_and_the_older_side_named",
        "scenarios/test_upgrade.py::test_what_a_later_agent_says_besides_is_passed_over",
        "scenarios/test_upgrade.py::test_what_version_1_left_is_read_by_this_one",
        "scenarios/test_upgrade.py::test_a_database_of_another_version_is_refused_and_left_alone",
        "scenarios/test_upgrade.py::test_a_journal_of_a_later_agent_is_refused_and_left_alone",
    ],
    "a frame torn at every byte": [
        "pure/test_link_delivery.py::test_rule_1_a_frame_torn_at_any_byte_costs_nothing_but_itself"
    ],
    "stale bytes held in the pipe": [
        "pure/test_link_connections.py::test_rule_2_frames_of_an_earlier_connection_are_counted_and_dropped",
        "pure/test_link_machine.py::test_no_long_history_of_faults_loses_or_repeats_a_message",
    ],
    "both ends closed": ["system/test_transports.py::test_both_ends_closed_leave_nothing_of_the_past"],
    "a second reader that steals bytes": [
        "scenarios/test_faults.py::test_a_second_reader_that_steals_bytes_delays_and_takes_nothing"
    ],
    "a second agent": [
        "scenarios/test_faults.py::test_a_second_agent_with_the_same_journal_is_sent_away",
        "scenarios/test_faults.py::test_a_second_agent_with_a_journal_of_its_own_is_sent_away_too",
        "system/test_agent_link.py::test_an_agent_that_was_overtaken_leaves_with_status_75",
    ],
    "a second daemon": ["scenarios/test_faults.py::test_a_second_daemon_on_the_same_state_is_told_who_has_it"],
    "both pipes full at once": [
        "scenarios/test_faults.py::test_both_pipes_full_at_once_are_emptied",
        "pure/test_link_delivery.py::test_rule_10_both_pipes_may_be_full_at_once",
    ],
    "a pipe of 8 KiB": [
        "scenarios/test_faults.py::test_a_prompt_and_an_answer_of_a_megabyte_go_through_pipes_of_8_kib"
    ],
    "a peer that reads a byte now and then, or never": [
        "scenarios/test_faults.py::test_an_agent_that_reads_a_byte_now_and_then_holds_nobody_up",
        "pure/test_link_delivery.py::test_rule_10_a_peer_that_reads_a_byte_at_a_time_gets_everything",
        "system/test_agent_link.py::test_a_host_that_does_not_read_stops_nobody",
    ],
    "garbage, a flood without newline, a 64 MiB line, bad UTF-8, control bytes, deep JSON": [
        "scenarios/test_faults.py::test_rubbish_from_a_hostile_process_while_the_agent_works",
        "scenarios/test_faults.py::test_what_a_hostile_program_says_is_no_end_of_the_daemon",
        "pure/test_model_conversation.py::test_no_text_that_a_program_may_say_is_too_odd",
        "pure/test_link_delivery.py::test_rule_1_memory_is_bounded_whatever_arrives",
    ],
    "a FIFO replaced by a symlink, a device, a file, a directory": [
        "scenarios/test_faults.py::test_a_fifo_replaced_by_something_else_is_refused_until_it_is_taken_away",
        "scenarios/test_faults.py::test_fifos_broken_while_no_daemon_was_there",
    ],
    "a FIFO replaced by another FIFO, or gone": [
        "scenarios/test_faults.py::test_a_fifo_that_is_gone_or_another_one_is_made_anew",
        "scenarios/test_faults.py::test_fifos_broken_while_no_daemon_was_there",
    ],
    "the link directory recreated": [
        "scenarios/test_faults.py::test_a_link_directory_that_was_recreated_is_found_again",
        "docker/test_docker_runtime.py::test_a_container_that_sees_an_earlier_link_directory_must_be_restarted",
    ],
    "chmod 0": ["scenarios/test_faults.py::test_a_mode_of_0_is_said_and_mended_or_waited_for"],
    "ENOSPC for the database": [
        "scenarios/test_promises.py::test_on_a_full_disk_new_work_is_refused_and_nothing_is_lost"
    ],
    "ENOSPC for the agent's journal": [
        "scenarios/test_faults_of_disks.py::test_a_full_disk_under_the_agents_journal_delays_and_loses_nothing"
    ],
    "EIO": [
        "scenarios/test_faults_of_disks.py::test_an_input_output_error_of_the_agents_journal_delays_and_loses_nothing",
        "scenarios/test_faults_of_disks.py::"
        "test_an_input_output_error_of_the_database_refuses_new_work_and_loses_nothing",
    ],
    "short writes": [
        "system/test_fifo.py::test_what_does_not_fit_is_kept_and_arrives_in_order",
        "system/test_agent_journal.py::test_a_failed_append_has_appended_nothing",
    ],
    "EMFILE": [
        "scenarios/test_faults.py::test_a_daemon_without_a_free_descriptor_says_so_and_goes_on",
        "scenarios/test_faults.py::test_an_agent_that_can_make_no_process_for_a_while_starts_it_when_it_can",
        "system/test_control.py::test_without_fds_a_knock_is_lost_and_the_daemon_is_not",
    ],
    "no inodes": [
        "scenarios/test_faults_of_disks.py::test_a_disk_without_inodes_is_named_and_used_again_when_it_has_some"
    ],
    "the journal torn": [
        "scenarios/test_faults_of_disks.py::test_a_torn_journal_is_cut_and_nothing_is_lost",
        "system/test_agent_journal.py::test_a_tail_torn_at_any_byte_is_cut_off",
    ],
    "the journal damaged": [
        "scenarios/test_faults_of_disks.py::test_a_damaged_journal_is_refused_with_its_place_until_it_is_moved_away"
    ],
    "the journal wiped": [
        "scenarios/test_faults_of_disks.py::test_a_wiped_journal_makes_what_ran_uncertain_and_all_goes_on",
        "scenarios/test_faults_of_disks.py::test_a_journal_wiped_under_a_living_agent_is_no_loss",
    ],
    "the journal rolled back": [
        "scenarios/test_faults_of_disks.py::test_a_journal_that_was_rolled_back_is_refused_until_somebody_decides"
    ],
    "the database rolled back": [
        "scenarios/test_faults_of_disks.py::test_a_database_that_was_rolled_back_is_refused_until_somebody_decides",
        "scenarios/test_faults_of_disks.py::"
        "test_an_old_copy_in_which_only_restarts_are_missing_ends_the_daemon_with_word_of_it",
    ],
    "the database wiped": [
        "scenarios/test_faults_of_disks.py::test_of_a_database_that_was_wiped_the_agents_are_named_and_taken_over"
    ],
    "the clock stepped both ways": [
        "pure/test_model_clock.py::test_a_step_of_the_clock_lets_nothing_expire_and_nobody_wait_longer",
        "pure/test_model_clock.py::test_a_step_while_no_daemon_was_there_gives_nobody_more_time_than_was_asked_for",
    ],
    "SIGSTOP of the agent": [
        "scenarios/test_faults.py::test_an_agent_that_is_stopped_is_said_to_take_nothing_and_goes_on",
        "scenarios/test_lives.py::test_an_agent_that_is_stopped_is_missed_and_found_again",
    ],
    "SIGSTOP of the program": [
        "scenarios/test_health.py::test_a_program_that_is_stopped_is_restarted_and_goes_on_in_its_session"
    ],
    "a loop that hangs in the kernel": [
        "scenarios/test_stalls.py::test_a_stalled_loop_aborts_with_its_stack_in_the_log_and_nothing_is_lost_or_repeated"
    ],
    "SIGSTOP of the daemon": ["scenarios/test_faults.py::test_a_daemon_that_is_stopped_goes_on_where_it_was"],
    "a restart of the daemon under send, wait and events -f": [
        "scenarios/test_lives.py::test_a_send_that_waits_survives_the_daemons_death",
        "scenarios/test_faults.py::test_wait_and_followed_events_survive_restarts_without_gap_or_repeat",
    ],
}
