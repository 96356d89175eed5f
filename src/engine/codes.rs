//! One-time codes of users with an authenticator: servers take each once.

use std::time::Duration;

use crate::target::User;
use crate::totp::Totp;

use super::{Engine, clock};

impl Engine {
    /// A one-time code that this user has not sent yet; waits for the next step of time where it must. Empty without an
    /// authenticator.
    pub async fn one_time_code(&self, user: &User) -> String {
        let Some(Ok(totp)) = user.totp.as_ref().map(|secret| Totp::read(secret.reveal())) else {
            return String::new();
        };
        let mut codes = self.codes.lock().await;
        let used = codes.get(&user.name).copied();
        let step = loop {
            let step = Totp::step_at(u64::try_from(clock::now()).unwrap_or(0));
            if used.is_none_or(|used| step > used) {
                break step;
            }
            let begins = i64::try_from(Totp::begins(step + 1)).unwrap_or(i64::MAX);
            if !self.waits_cost_time() {
                clock::pass(Duration::from_secs(u64::try_from(begins.saturating_sub(clock::now())).unwrap_or(0).max(1)));
                continue;
            }
            let left = u64::try_from(begins.saturating_mul(1000) - jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(left.max(1))).await;
        };
        codes.insert(user.name.clone(), step);
        let code = totp.code(step);
        self.redactor.learn_own("otp", &code);
        code
    }
}
