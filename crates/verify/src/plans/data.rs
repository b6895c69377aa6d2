pub(crate) const PLAN: crate::plan::Plan = crate::plan::Plan { name: "data", title: "The data API's errors", needs: &[], cases: &[] };
