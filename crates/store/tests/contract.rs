//! What every verb of the store promises, on every engine.

mod agreement;
mod bench;
mod grants;
mod logins;
mod loss;
mod model;
mod parents;
mod redeem;
mod removals;
mod shared;
mod sign_in;
mod sweep;

/// Runs every case on an engine.
macro_rules! on {
    ($module:ident, $engine:ident) => {
        on! { $module, $engine:
            redeem {
                a_slip_is_torn_once_and_names_its_successor,
                replays_are_told_of_many_grants_at_once,
                of_a_hundred_concurrent_redemptions_one_wins,
                slips_of_many_grants_are_torn_together,
                a_slip_and_its_successor_that_wait_together_are_torn_in_turn,
                an_expired_slip_and_an_unknown_grant_are_refused,
                a_slip_ahead_of_its_counterfoil_is_refused_and_recorded,
                a_slip_whose_client_was_removed_is_refused_and_not_claimed,
                a_repeat_with_its_key_gets_the_same_successor,
                a_slip_that_was_let_expire_is_refused_and_no_other,
            }
            agreement {
                a_store_that_is_older_than_its_journal_is_refused_until_a_loss_is_declared,
                a_journal_that_was_put_back_is_refused_until_that_is_accepted,
                a_journal_that_is_missing_is_missed_and_one_that_was_rolled_is_not,
                another_stores_journal_is_refused,
                a_journal_of_a_version_that_numbered_nothing_goes_on,
            }
            grants {
                an_ended_grant_is_dead_at_once_and_for_good,
                an_ending_that_a_crash_kept_out_of_the_journal_is_added_at_the_next_start,
                a_doubled_consent_makes_one_grant,
                of_consents_that_are_doubled_at_once_one_makes_the_grant,
                a_grant_is_found_as_soon_as_it_was_made,
                grants_are_listed_by_page_and_filter,
            }
            parents {
                a_grant_that_hangs_on_a_consent_dies_with_it_however_that_ends,
                it_dies_with_its_consent_at_every_node_and_after_a_restart,
                a_grant_hangs_on_a_living_consent_of_the_same_customer_and_client_alone,
                it_is_in_no_list_of_the_customer_and_in_that_of_the_operator,
                what_expired_a_day_after_it_was_made_is_swept_and_its_consent_is_not,
                what_a_code_is_bound_to_is_known_to_its_exchange,
            }
            removals {
                removing_a_customer_ends_their_grants_with_one_write,
                clients_keep_their_settings_and_two_secrets_and_are_removed_for_good,
                customers_are_listed_with_their_accounts_and_signed_out_by_a_new_password,
            }
            logins {
                a_name_is_found_however_it_is_written,
                the_second_of_one_name_is_not_added,
                two_of_one_name_who_were_added_before_are_listed_and_each_is_found,
                accounts_are_replaced_also_where_they_are_kept,
            }
            sign_in {
                five_failures_close_the_door_for_fifteen_minutes_from_the_first,
                the_moment_that_is_named_is_when_it_opens_also_after_a_step_back,
                what_is_forgotten_opens_the_door_of_one_customer,
                no_more_passwords_are_looked_at_at_once_than_may_fail,
                sessions_end_by_age_by_sign_out_and_with_their_customer,
                a_session_of_the_same_customer_makes_room_for_the_next,
                continuations_expire,
            }
            sweep {
                old_consents_that_were_never_completed_are_swept,
                grants_are_removed_long_after_their_end_and_never_for_their_age,
                what_is_old_by_one_clock_alone_is_not_swept,
                what_time_it_is_is_known_of_what_was_noted,
                what_a_wrong_clock_has_dated_ahead_is_repaired,
                nodes_may_be_thirty_seconds_apart,
            }
            shared {
                a_store_knows_what_it_is_and_whose,
                the_clock_and_the_faults_are_remembered,
                changes_are_told_where_others_must_learn_of_them,
                keys_in_a_shared_store_are_replaced_by_whoever_saw_the_last,
            }
            loss {
                after_a_loss_each_grant_accepts_once_what_is_newer_than_it_knows,
                endings_that_were_forgotten_take_effect_as_they_were_recorded,
                removals_that_were_forgotten_end_what_is_of_an_earlier_era,
                that_endings_were_lost_is_in_the_journal_and_never_taken_back,
                half_a_line_that_a_crash_left_in_the_journal_is_cut_off,
            }
            model {
                what_becomes_of_a_slip_follows_from_those_before_it,
            }
        }
    };
    ($module:ident, $engine:ident: $($group:ident { $($case:ident,)* })*) => {
        mod $module {
            use crate::contract::bench::{Bench, Engine};
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $case() {
                    crate::contract::$group::$case(Bench::new(Engine::$engine)).await;
                }
            )*)*
        }
    };
}

on!(sqlite, Sqlite);
on!(postgres, Postgres);
on!(postgres_serializable, Serializable);
on!(postgres_with_tls, Tls);
