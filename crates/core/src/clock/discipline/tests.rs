use super::*;

/// A wall clock and what is believed of it, looked at every half second.
struct Watched {
    discipline: Discipline,
    uptime: Millis,
    /// How far the wall clock is ahead of the uptime.
    wall: Millis,
    /// How far the database's is ahead of the uptime.
    database: Option<Millis>,
    accepted: Millis,
}

const START: Millis = 1_790_000_000_000;
const DAYS: Millis = DAY * 1000;
const MINUTES: Millis = MINUTE * 1000;

impl Watched {
    fn new() -> Self {
        Self {
            discipline: Discipline::new(0, START),
            uptime: 0,
            wall: START,
            database: None,
            accepted: 0,
        }
    }

    fn with_database() -> Self {
        Self { database: Some(START), ..Self::new() }
    }

    fn pass(&mut self, time: Millis) -> Vec<Change> {
        let until = self.uptime + time;
        let mut changes = Vec::new();
        while self.uptime < until {
            self.uptime += 500;
            let database = self
                .database
                .map(|ahead| Database { wall: self.uptime + ahead, accepted: self.accepted });
            changes.extend(self.discipline.poll(Readings {
                uptime: self.uptime,
                wall: self.uptime + self.wall,
                database,
            }));
        }
        changes
    }

    /// How far the believed time is from the right one.
    fn error(&self) -> Millis {
        self.discipline.ahead() - START
    }
}

#[test]
fn little_differences_are_followed() {
    let mut clock = Watched::new();
    for _ in 0..1000 {
        clock.wall += 5;
        assert_eq!(clock.pass(500), []);
    }
    assert_eq!(clock.error(), 5000);
}

#[test]
fn readings_that_are_not_quite_together_add_up_to_nothing() {
    let mut clock = Watched::with_database();
    // A sandbox on a database looks at every request.
    for _ in 0..10_000 {
        for late in [20, -20] {
            clock.wall += late;
            let database = Some(Database { wall: clock.uptime + START, accepted: 0 });
            let readings =
                Readings { uptime: clock.uptime, wall: clock.uptime + clock.wall, database };
            assert_eq!(clock.discipline.poll(readings), None);
        }
    }
    assert_eq!(clock.error(), 0);
}

#[test]
fn many_little_steps_do_not_pass_for_slewing() {
    let mut clock = Watched::new();
    for _ in 0..100 {
        clock.wall += 850;
        clock.pass(500);
    }
    assert!(clock.error() <= 2000 && clock.discipline.off().is_some(), "{}", clock.error());
}

#[test]
fn a_jump_that_does_not_last_changes_nothing() {
    for jump in [800 * DAYS, -3650 * DAYS, SMALL_STEP, -30_000] {
        let mut clock = Watched::new();
        clock.wall += jump;
        assert_eq!(clock.pass(1500), [Change::Disagrees(Deviation::Wall(jump / 1000))]);
        assert_eq!(clock.error(), 0);
        clock.wall -= jump;
        assert_eq!(clock.pass(5 * MINUTES), [Change::Agrees]);
        assert_eq!(clock.error(), 0);
    }
}

#[test]
fn a_small_step_is_taken_over_once_it_has_lasted() {
    for step in [2000, SMALL_STEP, -SMALL_STEP] {
        let mut clock = Watched::new();
        clock.wall += step;
        clock.pass(LASTING);
        assert_eq!((clock.error(), clock.discipline.is_unsure()), (0, false), "{step}");
        assert_eq!(clock.pass(1000), [Change::Adopted(Deviation::Wall(step / 1000))]);
        assert_eq!((clock.error(), clock.discipline.off()), (step, None));
    }
}

#[test]
fn a_large_step_is_never_taken_over_on_its_own_word() {
    for step in [SMALL_STEP + 2000, 800 * DAYS, -3650 * DAYS] {
        let mut clock = Watched::new();
        clock.wall += step;
        clock.pass(LASTING);
        assert!(!clock.discipline.is_unsure(), "what was believed serves for a minute");
        assert_eq!(clock.pass(DAYS), [Change::Unsure(Deviation::Wall(step / 1000))]);
        assert_eq!(clock.error(), 0);
        clock.wall -= step;
        assert_eq!(clock.pass(500), [Change::Agrees]);
        assert!(!clock.discipline.is_unsure());
    }
}

#[test]
fn a_large_step_that_the_database_agrees_with_is_taken_over() {
    let mut clock = Watched::with_database();
    clock.wall += 3 * DAYS;
    clock.pass(2 * MINUTES);
    assert!(clock.discipline.is_unsure());
    clock.database = Some(START + 3 * DAYS - 20_000);
    assert_eq!(clock.pass(500), [Change::Adopted(Deviation::Wall(3 * DAY))]);
    assert!(!clock.discipline.is_unsure());
}

#[test]
fn a_small_step_that_the_database_does_not_agree_with_is_not() {
    let mut clock = Watched::with_database();
    clock.wall += 10 * MINUTES;
    assert_eq!(
        clock.pass(5 * MINUTES),
        [Change::Disagrees(Deviation::Wall(600)), Change::Unsure(Deviation::Wall(600))]
    );
    assert_eq!(clock.error(), 0);
}

#[test]
fn a_clock_that_does_not_come_to_rest_is_not_believed_either() {
    let mut clock = Watched::new();
    clock.wall += 10_000;
    let mut changes = Vec::new();
    for _ in 0..200 {
        clock.wall += 2000;
        changes.extend(clock.pass(500));
    }
    assert_eq!(clock.error(), 0);
    assert!(matches!(changes[..], [Change::Disagrees(_), Change::Unsure(_)]), "{changes:?}");
    // Steps that are too little to be seen one by one add up.
    let mut clock = Watched::new();
    clock.wall += 10_000;
    for _ in 0..120 {
        clock.wall += 900;
        clock.pass(500);
    }
    assert_eq!(clock.error(), 0);
}

#[test]
fn a_database_that_disagrees_is_borne_for_a_minute() {
    let mut clock = Watched::with_database();
    clock.database = Some(START + 29_000);
    assert_eq!(clock.pass(5 * MINUTES), []);
    clock.database = Some(START - DAYS);
    clock.pass(LASTING);
    assert_eq!(
        (clock.discipline.is_unsure(), clock.discipline.off()),
        (false, Some(Deviation::Database(-DAY)))
    );
    assert_eq!(clock.pass(500), [Change::Unsure(Deviation::Database(-DAY))]);
    // The operator says that it is the database's clock that is wrong.
    clock.accepted = DAYS;
    assert_eq!(clock.pass(500), [Change::Accepted(DAY)]);
    clock.database = Some(START);
    assert_eq!(clock.pass(5 * MINUTES), [], "it was set right");
    clock.accepted = 0;
    assert_eq!(clock.pass(5 * MINUTES), [Change::Accepted(0)]);
}

#[test]
fn a_clock_that_was_ahead_at_the_start_is_found_out_and_followed_back() {
    let newest = START - 100 * DAYS;
    let mut clock =
        Watched { discipline: Discipline::at_start(0, START, Some(newest)), ..Watched::new() };
    assert!(clock.discipline.is_on_probation(0) && !clock.discipline.is_settled(0));
    clock.pass(MINUTES);
    clock.wall -= 100 * DAYS - 5000;
    assert_eq!(
        clock.pass(2 * MINUTES),
        [
            Change::Disagrees(Deviation::Wall(-100 * DAY + 5)),
            Change::Adopted(Deviation::Wall(-100 * DAY + 5))
        ]
    );
    assert_eq!(clock.error(), -100 * DAYS + 5000);
    // Not to before the store was used, and not after the hour.
    for (after, step) in [(MINUTES, 101 * DAYS), (61 * MINUTES, 99 * DAYS)] {
        let mut clock =
            Watched { discipline: Discipline::at_start(0, START, Some(newest)), ..Watched::new() };
        clock.pass(after);
        clock.wall -= step;
        clock.pass(2 * MINUTES);
        assert!(clock.discipline.is_unsure());
    }
}

#[test]
fn nothing_is_beyond_doubt_for_a_day_after_a_large_step_or_a_long_rest() {
    let settles = |clock: &mut Watched| {
        assert!(!clock.discipline.is_settled(clock.uptime));
        clock.pass(DAYS - 2 * MINUTES);
        assert!(!clock.discipline.is_settled(clock.uptime));
        clock.pass(3 * MINUTES);
        assert!(clock.discipline.is_settled(clock.uptime));
    };
    settles(&mut Watched {
        discipline: Discipline::at_start(0, START, Some(START - 2 * DAYS)),
        ..Watched::new()
    });
    let mut both = Watched::with_database();
    both.wall += 800 * DAYS;
    both.database = Some(START + 800 * DAYS);
    both.pass(LASTING + 500);
    assert_eq!(both.error(), 800 * DAYS);
    settles(&mut both);
    let mut accepted = Watched::new();
    accepted.wall += 3 * DAYS;
    accepted.discipline.accept(0, START + 3 * DAYS);
    settles(&mut accepted);
    // As a matter of course.
    for clock in [
        Discipline::at_start(0, START, None),
        Discipline::at_start(0, START, Some(START - DAYS + 1)),
        Discipline::at_start(0, START, Some(START)),
    ] {
        assert!(clock.is_settled(0) && !clock.is_on_probation(0));
    }
    let mut little = Watched::new();
    little.wall += SMALL_STEP;
    little.pass(2 * MINUTES);
    assert!(little.discipline.is_settled(little.uptime));
}

#[test]
fn the_operator_may_say_that_a_large_step_is_right() {
    let mut clock = Watched::new();
    clock.wall += 3 * DAYS;
    clock.pass(2 * MINUTES);
    clock.discipline.accept(clock.uptime, clock.uptime + clock.wall);
    assert_eq!(clock.pass(5 * MINUTES), []);
    assert_eq!(clock.error(), 3 * DAYS);
}
