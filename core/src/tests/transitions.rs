//! The whole table of transitions, written out once more.

use aurora_proto::v1::TaskState as S;

use crate::transitions::{Replacement as R, Verdict, judge};

/// One letter for each pair: `.` legal and nothing follows, `k` kill, `r` replaced, `b` replaced
/// and killed, `s` replaced if a service, `f` failure counted, `l` goes on to LOST, `m` that with
/// a kill, `p` partition timer, `u` replaced unless it was being killed, `v` that with a kill,
/// `=` the same, `x` illegal, `!` illegal and killed.
///
/// Columns: INIT THROTTLED PENDING ASSIGNED STARTING RUNNING FINISHED FAILED KILLED PREEMPTING
/// RESTARTING DRAINING KILLING LOST PARTITIONED.
const TABLE: [(S, &str); 15] = [
    (S::Init, "=..!!!xxxxxxxxx"),
    (S::Throttled, "x=.!!!xx.xxxxxx"),
    (S::Pending, "xx=.!!xx.xxxxxx"),
    (S::Assigned, "xxx=..sfrkkkkbp"),
    (S::Starting, "xxxx=.sfrkkkkrp"),
    (S::Running, "xxxxx=sfrkkkkrp"),
    (S::Finished, "xxx!!!=xxxxxxxx"),
    (S::Failed, "xxx!!!x=xxxxxxx"),
    (S::Killed, "xxx!!!xx=xxxxxx"),
    (S::Preempting, "xxx!!!rrr=xxkbl"),
    (S::Restarting, "xxx!!!rrrx=xkbl"),
    (S::Draining, "xxx!!!rrrxx=kbl"),
    (S::Killing, "xxx!!!...xxx=.l"),
    (S::Lost, "xxx!!!xxxxxxx=x"),
    (S::Partitioned, "xxx...sfummmmv="),
];

const COLUMNS: [S; 15] = [
    S::Init,
    S::Throttled,
    S::Pending,
    S::Assigned,
    S::Starting,
    S::Running,
    S::Finished,
    S::Failed,
    S::Killed,
    S::Preempting,
    S::Restarting,
    S::Draining,
    S::Killing,
    S::Lost,
    S::Partitioned,
];

fn letter(from: Option<S>, to: S) -> char {
    let legal = match judge(from, to) {
        Verdict::Same => return '=',
        Verdict::Illegal { kill: true } => return '!',
        Verdict::Illegal { kill: false } => return 'x',
        Verdict::Legal(legal) => legal,
    };
    let c = &legal;
    match (
        c.counts_failure,
        c.replacement,
        c.kill,
        c.then_lost,
        c.partition_timer,
    ) {
        (false, R::No, false, false, false) => '.',
        (false, R::No, true, false, false) => 'k',
        (false, R::No, false, true, false) => 'l',
        (false, R::No, true, true, false) => 'm',
        (false, R::No, false, false, true) => 'p',
        (false, R::Always, false, false, false) => 'r',
        (false, R::Always, true, false, false) => 'b',
        (false, R::IfService, false, false, false) => 's',
        (true, R::IfAllowed, false, false, false) => 'f',
        (false, R::UnlessKilling, false, false, false) => 'u',
        (false, R::UnlessKilling, true, false, false) => 'v',
        other => panic!("{from:?} to {to:?}: {other:?}"),
    }
}

#[test]
fn every_pair_of_states_is_judged_as_written() {
    for (from, row) in TABLE {
        let judged: String = COLUMNS.iter().map(|to| letter(Some(from), *to)).collect();
        assert_eq!(judged, row, "from {from:?}");
    }
    let absent: String = COLUMNS.iter().map(|to| letter(None, *to)).collect();
    assert_eq!(absent, "xxx!!!xxxxxxxxx", "from a task that is not known");
    assert_eq!(letter(Some(S::Unspecified), S::Pending), 'x');
}
