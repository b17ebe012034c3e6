//! What of a picture goes into an answer.

use selvage_proto::pool::v1;

/// Budgets in an answer at the most.
pub const MAX_BUDGETS: usize = 50;
const DEFAULT_BUDGETS: usize = 10;
/// Pods of a budget in an answer, and after how many an answer has no further budget. A pod has at most 700 bytes, and a scaler, of
/// which a budget has at most 100, 30 KB: an answer has less than the 4 MiB that clients take, unless everybody's texts are as long as
/// they may be.
pub const MAX_PODS: usize = 1_000;

/// Everything as it was decided last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Picture {
    /// In which epoch; nothing where nobody here leads.
    pub epoch: Option<u64>,
    /// In the order of their namespaces and names.
    pub budgets: Vec<v1::Budget>,
}

/// By what a page begins: the last budget of the one before.
type Key = (String, String);

fn key(budget: &v1::Budget) -> Key {
    (budget.namespace.clone(), budget.name.clone())
}

fn pods(budget: &v1::Budget) -> usize {
    budget.strangers.len() + budget.scalers.iter().map(|scaler| scaler.pods.len()).sum::<usize>()
}

impl Picture {
    fn of_namespace<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a v1::Budget> {
        self.budgets.iter().filter(move |budget| namespace.is_empty() || budget.namespace == namespace)
    }

    /// The first budgets of a namespace, and how many there are besides.
    pub(super) fn watched(&self, namespace: &str) -> v1::WatchBudgetsResponse {
        let taken = cut(self.of_namespace(namespace), MAX_BUDGETS);
        let omitted = self.of_namespace(namespace).count() - taken.len();
        v1::WatchBudgetsResponse { budgets: taken, omitted: u32::try_from(omitted).unwrap_or(u32::MAX) }
    }

    /// A page of the budgets of a namespace; an error names what is wrong with the request.
    pub(super) fn page(&self, request: &v1::ListBudgetsRequest) -> Result<v1::ListBudgetsResponse, &'static str> {
        let most = match usize::try_from(request.page_size) {
            Ok(0) => DEFAULT_BUDGETS,
            Ok(size) if size <= MAX_BUDGETS => size,
            _ => return Err("page_size must be 0 to 50"),
        };
        let after = match request.page_token.as_str() {
            "" => None,
            token => Some(token.split_once('/').ok_or("page_token must be one of a page before")?),
        };
        let is_after =
            |budget: &&v1::Budget| after.is_none_or(|after| (budget.namespace.as_str(), budget.name.as_str()) > after);
        let budgets = cut(self.of_namespace(&request.namespace).filter(is_after), most);
        let last = budgets.last().map(key);
        let is_last = self.of_namespace(&request.namespace).last().map(key) == last || last.is_none();
        let next = last.filter(|_| !is_last).map(|(namespace, name)| format!("{namespace}/{name}"));
        Ok(v1::ListBudgetsResponse { budgets, next_page_token: next.unwrap_or_default() })
    }
}

/// As many as an answer may have, and one at least.
fn cut<'a>(budgets: impl Iterator<Item = &'a v1::Budget>, most: usize) -> Vec<v1::Budget> {
    let mut taken = Vec::new();
    let mut so_far = 0;
    for budget in budgets.take(most) {
        so_far += pods(budget);
        if so_far > MAX_PODS && !taken.is_empty() {
            break;
        }
        taken.push(budget.clone());
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(namespace: &str, name: &str, pods: usize) -> v1::Budget {
        let scaler = v1::Scaler { pods: vec![v1::Pod::default(); pods], ..v1::Scaler::default() };
        v1::Budget { namespace: namespace.into(), name: name.into(), scalers: vec![scaler], ..v1::Budget::default() }
    }

    fn names(budgets: &[v1::Budget]) -> Vec<String> {
        budgets.iter().map(|budget| format!("{}/{}", budget.namespace, budget.name)).collect()
    }

    /// All pages, by the tokens.
    fn walked(picture: &Picture, namespace: &str, page_size: i32) -> Vec<Vec<String>> {
        let (mut pages, mut token) = (Vec::new(), String::new());
        loop {
            let request = v1::ListBudgetsRequest { namespace: namespace.into(), page_size, page_token: token };
            let page = picture.page(&request).unwrap();
            pages.push(names(&page.budgets));
            token = page.next_page_token;
            if token.is_empty() {
                return pages;
            }
        }
    }

    #[test]
    fn pages_have_every_budget_once_and_not_too_many_pods() {
        let budgets = vec![
            budget("a", "x", 600),
            budget("a", "y", 500),
            budget("b", "x", 2),
            budget("b", "z", 1),
            budget("c", "x", 1_000),
        ];
        let picture = Picture { epoch: Some(1), budgets };
        assert_eq!(
            walked(&picture, "", 0),
            [vec!["a/x"], vec!["a/y", "b/x", "b/z"], vec!["c/x"]],
            "fewer where there are many pods"
        );
        assert_eq!(walked(&picture, "", 1).len(), 5);
        assert_eq!(walked(&picture, "b", 50), [["b/x", "b/z"]]);
        assert_eq!(walked(&picture, "nowhere", 50), [[""; 0]]);
        let watched = picture.watched("");
        assert_eq!((names(&watched.budgets), watched.omitted), (vec!["a/x".to_owned()], 4));
        assert_eq!(picture.watched("b").omitted, 0);
    }

    #[test]
    fn a_page_that_cant_be_is_refused_with_the_field() {
        let picture = Picture::default();
        for (page_size, page_token, field) in [(-1, "", "page_size"), (51, "", "page_size"), (1, "x", "page_token")] {
            let request = v1::ListBudgetsRequest { page_size, page_token: page_token.into(), ..Default::default() };
            assert!(picture.page(&request).unwrap_err().starts_with(field));
        }
    }
}
