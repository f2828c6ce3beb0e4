//! Group commit: what comes while the database is busy is done together next, in one transaction, with
//! one round trip for each of its statements and one write to disk for all.
//!
//! Nobody waits for a group to fill: whoever comes first begins at once, those who come while the database begins
//! belong to the group, and those who come after that are the next one. A message loses nothing by its company: a
//! group that fails for another reason than that the database is away is taken apart, and each of its members is
//! tried alone.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use entities::is_transient;
use sea_orm::DbErr;
use tokio::sync::oneshot::{self, error::TryRecvError};

use crate::halt::Halt;

/// More in one transaction gained nothing, and makes those wait who need one of its rows.
const LARGEST: usize = 256;

/// Work that is done for several at once.
pub(crate) struct GroupCommit<T, R> {
    waiting: Mutex<VecDeque<Member<T, R>>>,
    turn: tokio::sync::Mutex<()>,
}

struct Member<T, R> {
    item: T,
    answer: oneshot::Sender<Result<R, Arc<DbErr>>>,
}

impl<T, R> Default for GroupCommit<T, R> {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }
}

impl<T: Clone, R> GroupCommit<T, R> {
    /// Does `work` for this item and those that came with it, on what `begin` has begun. `work` is one transaction (or
    /// only reads, [`nothing`] to begin) and has one answer for each of its items, in their order.
    pub(crate) async fn join<B, W, Begun>(
        &self,
        item: T,
        begin: impl Fn() -> B,
        work: impl Fn(Begun, Vec<T>) -> W,
    ) -> Result<R, Halt>
    where
        B: Future<Output = Result<Begun, DbErr>>,
        W: Future<Output = Result<Vec<R>, DbErr>>,
    {
        match self.in_company(item.clone(), &begin, &work).await {
            Some(Ok(answer)) => return Ok(answer),
            Some(Err(error)) if is_transient(&error) => return Err(Halt::from(&*error)),
            // Another one did not fit, or whoever did the work has died of it.
            Some(Err(_)) | None => {}
        }
        let begun = begin().await?;
        let mut answers = Box::pin(work(begun, vec![item])).await?;
        let missing = || DbErr::Custom("a group of one has no answer".to_owned());
        Ok(answers.pop().ok_or_else(missing)?)
    }

    /// `None`: whoever did the work is no more.
    async fn in_company<B, W, Begun>(
        &self,
        item: T,
        begin: impl Fn() -> B,
        work: impl Fn(Begun, Vec<T>) -> W,
    ) -> Option<Result<R, Arc<DbErr>>>
    where
        B: Future<Output = Result<Begun, DbErr>>,
        W: Future<Output = Result<Vec<R>, DbErr>>,
    {
        let (answer, mut mine) = oneshot::channel();
        self.waiting().push_back(Member { item, answer });
        let _turn = tokio::select! {
            biased;
            answer = &mut mine => return answer.ok(),
            turn = self.turn.lock() => turn,
        };
        loop {
            match mine.try_recv() {
                Ok(answer) => return Some(answer),
                Err(TryRecvError::Closed) => return None,
                Err(TryRecvError::Empty) => self.work_off(&begin, &work).await,
            }
        }
    }

    /// Does the work of those who came first, and tells them.
    async fn work_off<B, W, Begun>(&self, begin: impl Fn() -> B, work: impl Fn(Begun, Vec<T>) -> W)
    where
        B: Future<Output = Result<Begun, DbErr>>,
        W: Future<Output = Result<Vec<R>, DbErr>>,
    {
        // Those who come meanwhile are in this transaction, and don't have to wait for the next one.
        // In a place of its own, as is the work: all who wait are as large as this, and one of them does it.
        let begun = Box::pin(begin()).await;
        let members: Vec<Member<T, R>> = {
            let mut waiting = self.waiting();
            let group = waiting.len().min(LARGEST);
            waiting.drain(..group).collect()
        };
        let (items, answers): (Vec<T>, Vec<_>) = members
            .into_iter()
            .map(|member| (member.item, member.answer))
            .unzip();
        let results = match begun {
            Ok(begun) => Box::pin(work(begun, items)).await,
            Err(error) => Err(error),
        };
        // Who no longer listens has been given up; its message comes again.
        match results {
            Ok(results) => {
                for (answer, result) in answers.into_iter().zip(results) {
                    let _ = answer.send(Ok(result));
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                for answer in answers {
                    let _ = answer.send(Err(error.clone()));
                }
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Member<T, R>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For a group that only reads. All who are ready to join it do.
pub(crate) async fn nothing() -> Result<(), DbErr> {
    tokio::task::yield_now().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ops::Range;
    use std::sync::{Arc, Mutex};

    use sea_orm::{ConnAcquireErr, DbErr};
    use tokio::task::JoinSet;

    use super::{GroupCommit, LARGEST, nothing};
    use crate::halt::Halt;

    /// What one of them got: nothing, where it died.
    type Answer = Option<Result<u32, Halt>>;

    /// Each number is a message that comes while the first one is worked off. Returns what each got,
    /// and the groups.
    async fn come(
        numbers: Range<u32>,
        work: fn(&[u32]) -> Result<Vec<u32>, DbErr>,
    ) -> (BTreeMap<u32, Answer>, Vec<Vec<u32>>) {
        come_to(numbers, || std::future::ready(Ok(())), work).await
    }

    /// [`come`], to what begins like this.
    async fn come_to<B>(
        numbers: Range<u32>,
        begin: fn() -> B,
        work: fn(&[u32]) -> Result<Vec<u32>, DbErr>,
    ) -> (BTreeMap<u32, Answer>, Vec<Vec<u32>>)
    where
        B: Future<Output = Result<(), DbErr>> + Send + 'static,
    {
        let commit = Arc::new(GroupCommit::default());
        let groups: Arc<Mutex<Vec<Vec<u32>>>> = Arc::default();
        let mut tasks = JoinSet::new();
        let mut ids = BTreeMap::new();
        for number in numbers {
            let (commit, groups) = (commit.clone(), groups.clone());
            let task = tasks.spawn(async move {
                let work = async |(), group: Vec<u32>| {
                    groups.lock().unwrap().push(group.clone());
                    tokio::task::yield_now().await;
                    work(&group)
                };
                commit.join(number, begin, work).await
            });
            ids.insert(task.id(), number);
        }
        let mut answers = BTreeMap::new();
        while let Some(ended) = tasks.join_next_with_id().await {
            match ended {
                Ok((id, answer)) => answers.insert(ids[&id], Some(answer)),
                Err(died) => answers.insert(ids[&died.id()], None),
            };
        }
        let groups = groups.lock().unwrap().clone();
        (answers, groups)
    }

    fn double(numbers: &[u32]) -> Result<Vec<u32>, DbErr> {
        Ok(numbers.iter().map(|number| number * 2).collect())
    }

    #[tokio::test]
    async fn who_comes_while_others_are_worked_off_is_in_the_next_group() {
        let (answers, groups) = come(0..400, double).await;
        for (number, answer) in answers {
            assert_eq!(answer.unwrap().unwrap(), number * 2);
        }
        let sizes: Vec<usize> = groups.iter().map(Vec::len).collect();
        assert_eq!(sizes, [1, LARGEST, 399 - LARGEST]);
    }

    #[tokio::test]
    async fn who_comes_while_the_database_begins_is_in_the_group() {
        let (answers, groups) = come_to(0..100, nothing, double).await;
        assert!(answers.into_values().all(|answer| answer.unwrap().is_ok()));
        assert_eq!(groups, [(0..100).collect::<Vec<_>>()]);
    }

    #[tokio::test]
    async fn a_group_that_can_not_begin_is_told_and_not_tried_one_by_one() {
        let away = || async {
            tokio::task::yield_now().await;
            Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))
        };
        let (answers, groups) = come_to(0..6, away, double).await;
        assert!(answers.into_values().all(|answer| answer.unwrap().is_err()));
        assert!(groups.is_empty());
    }

    #[tokio::test]
    async fn one_that_does_not_fit_fails_alone() {
        let work = |numbers: &[u32]| match numbers.contains(&3) {
            true => Err(DbErr::Custom("3 does not fit".to_owned())),
            false => double(numbers),
        };
        let (answers, _) = come(0..6, work).await;
        for (number, answer) in answers {
            assert_eq!(answer.unwrap().is_err(), number == 3, "{number}");
        }
    }

    #[tokio::test]
    async fn while_the_database_is_away_nobody_is_tried_alone() {
        let away = |_: &[u32]| Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout));
        let (answers, groups) = come(0..6, away).await;
        assert!(answers.into_values().all(|answer| answer.unwrap().is_err()));
        assert_eq!(groups, [vec![0], vec![1, 2, 3, 4, 5]]);
    }

    #[tokio::test]
    async fn the_company_of_one_that_dies_goes_on() {
        let work = |numbers: &[u32]| match numbers {
            [1, _, ..] => panic!("it dies of its company"),
            _ => double(numbers),
        };
        let (answers, _) = come(0..4, work).await;
        for (number, answer) in answers {
            match answer {
                Some(answer) => assert_eq!(answer.unwrap(), number * 2),
                None => assert_eq!(number, 1),
            }
        }
    }
}
