//! The plans, one file a topic.

use crate::error::VerifyError;
use crate::plan::Plan;

mod data;
mod discovery;
mod headers;
mod oauth;
mod token_management;

/// Every plan; the first one is run where none is named.
pub(crate) const PLANS: &[Plan] =
    &[token_management::PLAN, discovery::PLAN, oauth::NETWORK, oauth::RFC, data::PLAN];

/// The names that can be asked for.
pub fn names() -> impl Iterator<Item = &'static str> {
    PLANS.iter().map(|plan| plan.name)
}

/// The plans asked for, each once.
pub(crate) fn chosen(asked: &[String]) -> Result<Vec<&'static Plan>, VerifyError> {
    if asked.is_empty() {
        return Ok(PLANS.iter().take(1).collect());
    }
    let mut chosen: Vec<&'static Plan> = Vec::new();
    for name in asked {
        let plan = PLANS.iter().find(|plan| plan.name == name).ok_or_else(|| {
            let names: Vec<&str> = names().collect();
            VerifyError::Usage(format!("there is no plan `{name}`; there are {}", names.join(", ")))
        })?;
        if !chosen.iter().any(|chosen| chosen.name == plan.name) {
            chosen.push(plan);
        }
    }
    Ok(chosen)
}
