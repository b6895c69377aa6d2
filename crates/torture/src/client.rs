//! A client: grants, refreshes, reads and endings without pause.

use counterfoil_sandbox::seed::{CLIENTS, SeedClient};

use crate::chance::Chance;
use crate::client_grant::ClientGrant;
use crate::graveyard::Graveyard;
use crate::run::{Phase, Run};

/// Grants are refreshed fewer times than 2 to the power of this.
const DOUBLINGS: usize = 8;

/// The client that the task of this number plays: one in four the one whose ID tokens are signed
/// RS256, which takes the server long.
pub(crate) const fn of(task: usize) -> &'static SeedClient {
    let [recipient, other, ..] = &CLIENTS;
    if task.is_multiple_of(4) { recipient } else { other }
}

/// Works until the run is closing, and gives back the grant that it has then.
pub(crate) async fn work(
    run: &Run,
    graves: &Graveyard,
    mut chance: Chance,
    client: &'static SeedClient,
) -> Option<ClientGrant> {
    while run.phase() == Phase::Torture {
        let Some(mut grant) = ClientGrant::obtain(run, &mut chance, client).await else {
            continue;
        };
        // As many short lives as long ones: of short ones more end, of long ones more is left to
        // lose.
        let last = 1 << chance.below(DOUBLINGS);
        let sound = loop {
            if run.phase() != Phase::Torture {
                return Some(grant);
            }
            if grant.number() > last {
                break grant.end(run, &mut chance).await;
            }
            if !step(run, graves, &mut chance, &mut grant).await {
                break false;
            }
        };
        // A grant that something is wrong with would only be found again and again.
        if sound {
            bury(run, graves, &mut chance, grant).await;
        }
    }
    None
}

async fn step(run: &Run, graves: &Graveyard, chance: &mut Chance, grant: &mut ClientGrant) -> bool {
    match chance.below(100) {
        0..64 => grant.refresh(run, chance).await,
        64..72 => grant.repeat(run, chance).await,
        72..80 => grant.replay(run, chance).await,
        80..85 => grant.race(run, chance).await,
        85..98 => grant.read(run, chance).await,
        _ => {
            if let Some(mut ended) = graves.dig(chance)
                && ended.check_ended(run, chance, None).await
            {
                bury(run, graves, chance, ended).await;
            }
            true
        }
    }
}

/// Keeps an ended grant, and tries the one once more that must make room for it.
async fn bury(run: &Run, graves: &Graveyard, chance: &mut Chance, grant: ClientGrant) {
    if let Some(mut oldest) = graves.bury(grant) {
        oldest.check_ended(run, chance, None).await;
    }
}

/// Once no more servers are killed: tries everything that the living grants have, then everything
/// that the ended ones had.
pub(crate) async fn close(
    run: &Run,
    graves: &Graveyard,
    mut chance: Chance,
    living: Option<ClientGrant>,
) {
    if let Some(mut grant) = living {
        grant.check_living(run, &mut chance).await;
    }
    while run.phase() < Phase::Over
        && let Some(mut ended) = graves.dig(&mut chance)
    {
        ended.check_ended(run, &mut chance, None).await;
    }
}
