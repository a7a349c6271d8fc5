//! What operators ask for.

use preheat_api::service::ScaleRequest;
use preheat_core::pool::{PoolPolicy, PoolSize};
use preheat_core::rollout::RolloutEvent;
use preheat_core::{Because, Moment};

use super::Fleet;
use crate::blueprint::Blueprint;
use crate::service::{Command, Order};
use crate::settings::one_address;

impl Fleet {
    pub(super) fn on_command(&mut self, command: Command) {
        let now = self.clock.now();
        let done = match command.order {
            Order::Scale(wish) => self.rescale(&wish),
            Order::Rollout { wish, keyed } => self.begin_rollout(&wish, keyed, now),
            Order::Promote => self.wish_of_rollout(RolloutEvent::Promote, now),
            Order::Rollback => self.wish_of_rollout(RolloutEvent::Rollback, now),
            Order::Abort => self.wish_of_rollout(RolloutEvent::Abort, now),
        };
        // What was ordered shows at once.
        self.turn();
        // Nobody waiting for the answer is no reason not to do it.
        let _ = command.answer.send(done);
    }

    /// The one address of all servers of what serves, or is to serve.
    fn address(&self) -> Option<&str> {
        let under_way = self.changeover.iter().filter(|c| !c.rollout.is_over());
        let sides = under_way.flat_map(|change| [&change.blue, &change.green]);
        sides.chain([&self.blueprint]).find_map(Blueprint::address)
    }

    /// Servers that would all start at one address are one, whatever the bounds are: they may be another
    /// configuration's than what serves.
    pub(super) fn keep_to_one_address(&mut self, now: Moment) {
        let max = self.settings.scale.max;
        let Some(url) = self.address().filter(|_| max > 1) else {
            return;
        };
        let because = Because::new("all would start at one address")
            .text("address", url)
            .count("max", max);
        let scale = &mut self.settings.scale;
        (scale.min, scale.max) = (scale.min.min(1), 1);
        self.follow_bounds();
        self.note("scale", None, &because, now);
    }

    /// Has the policies follow the bounds that are set.
    pub(super) fn follow_bounds(&mut self) {
        self.scaler.set_policy(self.settings.scale);
        self.pool.set_policy(PoolPolicy {
            size: self.settings.spares,
            burst: None,
            max_replicas: self.settings.scale.max,
        });
    }

    pub(super) fn rescale(&mut self, wish: &ScaleRequest) -> Result<(), String> {
        let scale = self.settings.scale;
        let (min, max) = (wish.min.unwrap_or(scale.min), wish.max.unwrap_or(scale.max));
        if max == 0 || min > max {
            return Err(format!(
                "min {min} and max {max} do not go together: give a max of at least 1 and of at least min"
            ));
        }
        if let Some(url) = self.address().filter(|_| max > 1) {
            let several = format!("there may be {max}");
            return Err(one_address(url, &several) + ", or stay with a max of 1");
        }
        (self.settings.scale.min, self.settings.scale.max) = (min, max);
        if let Some(spares) = wish.spares {
            self.settings.spares = PoolSize::Fixed(spares);
        }
        self.follow_bounds();
        let because = Because::new("asked for")
            .count("min", min)
            .count("max", max);
        self.note("scale", None, &because, self.clock.now());
        Ok(())
    }
}
