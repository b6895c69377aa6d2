pub(crate) const PLAN: crate::plan::Plan = crate::plan::Plan { name: "discovery", title: "Discovery and keys", needs: &[], cases: &[] };
