use super::*;
use crate::share::Originator;

fn pool(concurrent_orders: usize, waiting_orders: usize, patience_ms: u64) -> Arc<OrderPool> {
    with(Limits { concurrent_orders, waiting_orders, ..Limits::default() }, patience_ms)
}

fn with(limits: Limits, patience_ms: u64) -> Arc<OrderPool> {
    let patience = Duration::from_millis(patience_ms);
    Arc::new(OrderPool::new(&limits, patience, Arc::new(Metrics::new(None))))
}

fn client(number: u8) -> Sharer {
    Sharer::Originator(Originator::new([number; 32]))
}

impl OrderPool {
    fn waiting(&self) -> usize {
        self.turns.lock().lines.len()
    }

    fn is_full(&self) -> bool {
        self.refusal(&client(0)).is_some()
    }
}

/// Joins the queue and, when its turn comes, notes whose it was; an order takes so long.
fn join(
    pool: &Arc<OrderPool>,
    number: u8,
    done: &Arc<Mutex<Vec<u8>>>,
    ms: u64,
) -> tokio::task::JoinHandle<Option<Overloaded>> {
    let (pool, done) = (Arc::clone(pool), Arc::clone(done));
    tokio::spawn(async move {
        let turn = match pool.turn(&client(number)).await {
            Ok(turn) => turn,
            Err(refused) => return Some(refused),
        };
        tokio::time::sleep(Duration::from_millis(ms)).await;
        done.lock().unwrap().push(number);
        drop(turn);
        None
    })
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn runs_so_many_queues_so_many_refuses_the_rest() {
    let pool = pool(1, 1, 10_000);
    let first = pool.turn(&client(0)).await.expect("free");
    assert!(!pool.is_full());
    let second = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { pool.turn(&client(0)).await.map(|turn| turn.waited) }
    });
    until(|| pool.waiting() == 1).await;
    assert!(pool.is_full());
    assert_eq!(pool.turn(&client(0)).await.err(), Some(Overloaded::QueueFull));
    assert_eq!(pool.turn(&client(1)).await.err(), Some(Overloaded::QueueFull), "one place for one each");
    drop(first);
    let waited = second.await.expect("no panic").expect("its turn came");
    assert!(waited > Duration::ZERO);
    assert!(pool.turn(&client(0)).await.is_ok(), "turns are given back");
}

#[tokio::test(start_paused = true)]
async fn patience_ends() {
    let pool = pool(1, 1, 10);
    let _first = pool.turn(&client(0)).await.expect("free");
    assert_eq!(pool.turn(&client(0)).await.err(), Some(Overloaded::Waited));
    assert!(!pool.is_full(), "the place in the queue is free again");
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_frees_its_place() {
    let pool = pool(1, 1, 10_000);
    let first = pool.turn(&client(0)).await.expect("free");
    let waiting = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { pool.turn(&client(0)).await.is_ok() }
    });
    until(|| pool.is_full()).await;
    waiting.abort();
    until(|| !pool.is_full()).await;
    drop(first);
    pool.idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_turn_given_to_who_has_just_gone_is_not_lost() {
    let pool = pool(1, 10, 10_000);
    let first = pool.turn(&client(0)).await.expect("free");
    let sharer = client(0);
    let mut gone = Box::pin(pool.turn(&sharer));
    assert!(futures_now(gone.as_mut()).await.is_none());
    drop(first);
    // The turn lies ready for it.
    drop(gone);
    pool.idle().await;
    assert!(pool.turn(&client(1)).await.is_ok());
}

/// What a future gives when polled once.
async fn futures_now<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn idle_waits_for_the_last_order() {
    let pool = pool(2, 0, 10);
    let turn = pool.turn(&client(0)).await.expect("free");
    assert!(timeout(Duration::from_millis(20), pool.idle()).await.is_err());
    drop(turn);
    pool.idle().await;
}

#[tokio::test(start_paused = true)]
async fn shares_are_equal_however_much_somebody_brings() {
    let pool = pool(2, 1000, 60_000);
    let done = Arc::default();
    // One brings 200 before the others come with 20 and 5.
    for (number, count) in [(1, 200), (2, 20), (3, 5)] {
        let before = pool.waiting();
        for _ in 0..count {
            drop(join(&pool, number, &done, 10));
        }
        until(|| pool.waiting() >= before + count - 2).await;
    }
    until(|| done.lock().unwrap().len() >= 60).await;
    let done = done.lock().unwrap().clone();
    let share = |number: u8, of: usize| done[..of].iter().filter(|other| **other == number).count();
    // Until somebody has nothing more, everybody gets the same; then the rest share.
    assert!(share(3, 25) == 5, "{done:?}");
    assert!((18..=20).contains(&share(2, 50)), "{done:?}");
}

#[tokio::test(start_paused = true)]
async fn a_steady_small_client_never_waits_long_beside_a_flood() {
    let pool = pool(4, 1000, 60_000);
    let done = Arc::default();
    for _ in 0..250 {
        drop(join(&pool, 1, &done, 10));
    }
    until(|| pool.waiting() > 240).await;
    for _ in 0..20 {
        let turn = pool.turn(&client(2)).await.expect("a turn");
        assert!(turn.waited <= Duration::from_millis(21), "{:?}", turn.waited);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_has_all_turns() {
    let pool = pool(16, 100, 60_000);
    let done = Arc::default();
    for _ in 0..50 {
        drop(join(&pool, 1, &done, 1_000_000));
    }
    until(|| pool.waiting() == 36).await;
    assert_eq!(pool.turns.lock().free, 2);
    let turn = pool.turn(&client(2)).await.expect("at once, although orders of the other take for ever");
    assert_eq!(turn.waited, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_longest_line_makes_room() {
    let pool = pool(1, 10, 60_000);
    let done = Arc::default();
    let flood: Vec<_> = (0..11).map(|_| join(&pool, 1, &done, 10)).collect();
    until(|| pool.waiting() == 10).await;
    assert_eq!(pool.refusal(&client(1)), Some(Overloaded::QueueFull));
    assert_eq!(pool.refusal(&client(2)), None);
    let small = join(&pool, 2, &done, 10);
    assert_eq!(small.await.expect("no panic"), None);
    let mut refused = Vec::new();
    for order in flood {
        refused.extend(order.await.expect("no panic"));
    }
    assert_eq!(refused, [Overloaded::Displaced]);
    assert_eq!(done.lock().unwrap().len(), 11);
}

#[tokio::test(start_paused = true)]
async fn a_line_has_a_limit_of_its_own() {
    let limits = Limits { concurrent_orders: 1, waiting_orders: 10, waiting_orders_per_client: 3, ..Limits::default() };
    let pool = with(limits, 60_000);
    let done = Arc::default();
    for _ in 0..4 {
        drop(join(&pool, 1, &done, 10));
    }
    until(|| pool.waiting() == 3).await;
    assert_eq!(pool.turn(&client(1)).await.err(), Some(Overloaded::LineFull));
    assert_eq!(pool.refusal(&client(2)), None);
}

/// Orders that come in at twice the speed at which they can be done: those done, and the longest wait of them.
async fn at_twice_the_capacity(pool: &Arc<OrderPool>, orders: u64) -> (usize, Vec<Duration>) {
    let waits = Arc::new(Mutex::new(Vec::new()));
    let mut all = Vec::new();
    for _ in 0..orders {
        let (pool, waits) = (Arc::clone(pool), Arc::clone(&waits));
        all.push(tokio::spawn(async move {
            let Ok(turn) = pool.turn(&client(1)).await else { return };
            waits.lock().unwrap().push(turn.waited);
            tokio::time::sleep(Duration::from_millis(40)).await;
        }));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for order in all {
        order.await.unwrap();
    }
    let waits = waits.lock().unwrap().clone();
    (waits.len(), waits)
}

#[tokio::test(start_paused = true)]
async fn an_excess_costs_neither_throughput_nor_patience() {
    // Four at a time for 40 ms: 100 in a second. 200 come, for 20 seconds.
    let pool = pool(4, 10_000, 1_000);
    let (done, waits) = at_twice_the_capacity(&pool, 4_000).await;
    assert!((2_000..=2_120).contains(&done), "{done}");
    assert!(waits.iter().all(|wait| *wait <= Duration::from_millis(1_000)), "nobody was let in to be disappointed");
    let late = waits[1_000..].iter().max().unwrap();
    assert!(*late <= Duration::from_millis(200), "the queue shrinks when the excess lasts: {late:?}");
    let text = pool.metrics.text();
    let sent_away = |cause| {
        let sample = format!("rohrpost_orders_shed_total{{cause=\"{cause}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&*sample)).map(str::to_owned)
    };
    assert_eq!(sent_away("waited").as_deref(), Some("0"));
    assert_eq!(sent_away("too_long"), Some((4_000 - done).to_string()));
}

#[tokio::test(start_paused = true)]
async fn a_slow_time_is_forgotten() {
    let pool = pool(1, 100, 1_000);
    let done = Arc::default();
    drop(join(&pool, 1, &done, 900));
    let slow: Vec<_> = (0..3).map(|_| join(&pool, 1, &done, 900)).collect();
    for order in slow {
        let _ = order.await;
    }
    pool.idle().await;
    for _ in 0..100 {
        let quick: Vec<_> = (0..3).map(|_| join(&pool, 1, &done, 1)).collect();
        for order in quick {
            order.await.unwrap();
        }
    }
    drop(join(&pool, 1, &done, 100));
    for _ in 0..20 {
        drop(join(&pool, 1, &done, 1));
    }
    until(|| pool.waiting() == 20).await;
    assert_eq!(pool.refusal(&client(1)), None);
}
