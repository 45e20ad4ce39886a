//! Health, readiness and figures.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rohrpost_gateway::config::Listener;
use rohrpost_gateway::{Figure, FigureValue, Figures, Gateway, NotReady, Readiness};

use crate::harness::{Setup, any_port, echo, get};

struct StoreDown(AtomicUsize);

impl Readiness for StoreDown {
    fn ready(&self) -> Result<(), NotReady> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Err(NotReady("the store does not answer".into()))
    }
}

struct KeyUse;

impl Figures for KeyUse {
    fn figures(&self) -> Vec<Figure> {
        vec![Figure { name: "rsa_signatures", help: "Private key signatures", value: FigureValue::Counter(3) }]
    }
}

#[tokio::test]
async fn healthy_and_ready() {
    let server = Setup::default().start().await;
    for address in [server.address(), server.management()] {
        assert_eq!(get(address, "/healthz").await.text(), "alive\n");
        let ready = get(address, "/readyz").await;
        assert_eq!((ready.status(), &*ready.text()), (200, "ready\n"));
    }
}

#[tokio::test]
async fn reasons_are_for_management_only_and_the_check_is_not_overrun() {
    let spools = tempfile::tempdir().unwrap();
    let config = Setup::default().config(spools.path(), Listener::http(any_port()));
    let check = Arc::new(StoreDown(AtomicUsize::new(0)));
    let gateway = Gateway::new(config, echo()).with_readiness(Arc::clone(&check) as Arc<dyn Readiness>);
    let running = gateway.start().await.unwrap();
    let [orders, management] = running.addresses() else { panic!("two listeners expected") };
    for _ in 0..5 {
        let public = get(*orders, "/readyz").await;
        assert_eq!((public.status(), &*public.text()), (503, "not ready\n"));
        let detailed = get(*management, "/readyz").await;
        assert_eq!((detailed.status(), &*detailed.text()), (503, "not ready: the store does not answer\n"));
    }
    assert!(check.0.load(Ordering::Relaxed) < 10);
    assert_eq!(get(*orders, "/healthz").await.status(), 200, "not ready is not dead");
}

#[tokio::test]
async fn figures_are_for_management_only() {
    let spools = tempfile::tempdir().unwrap();
    let config = Setup::default().config(spools.path(), Listener::http(any_port()));
    let running = Gateway::new(config, echo()).with_figures(Arc::new(KeyUse)).start().await.unwrap();
    let [orders, management] = running.addresses() else { panic!("two listeners expected") };
    get(*orders, "/metrics").await.assert_problem(404, "not_found");
    get(*management, "/osci").await.assert_problem(404, "not_found");
    let metrics = get(*management, "/metrics").await;
    assert_eq!(metrics.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let text = metrics.text();
    assert!(text.contains("\nrohrpost_rsa_signatures_total 3\n"), "{text}");
    assert!(text.contains("\nrohrpost_requests_refused_total{cause=\"not_found\"} 2\n"), "{text}");
    assert!(text.ends_with("# EOF\n"));
}
