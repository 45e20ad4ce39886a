//! Counting, and the text of `/metrics`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::config::Limits;
use crate::handler::{Figure, FigureValue, Figures, Outcome};
use crate::pool::Overloaded;
use crate::problem::Problem;

/// The media type of [`Metrics::text`].
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const SECONDS: [f64; 15] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

type Labels<const N: usize> = [(&'static str, &'static str); N];

/// Everything the gateway counts. Cheap to share, never blocks for long.
pub(crate) struct Metrics {
    registry: Registry,
    orders: Family<Labels<2>, Counter>,
    codes: Family<[(&'static str, String); 1], Counter>,
    order_seconds: Family<Labels<1>, Histogram, fn() -> Histogram>,
    refused: Family<Labels<1>, Counter>,
    shed: Family<Labels<1>, Counter>,
    pub(crate) turn_seconds: Histogram,
    pub(crate) waiting: Gauge,
    pub(crate) running: Gauge,
    pub(crate) received_bytes: Counter,
    pub(crate) sent_bytes: Counter,
    pub(crate) spooled_bytes: Gauge,
    pub(crate) answer_bytes: Gauge,
    pub(crate) abandoned: Counter,
    pub(crate) connections: Gauge,
    pub(crate) connections_total: Counter,
    pub(crate) handshakes_failed: Counter,
}

impl Metrics {
    pub(crate) fn new(figures: Option<Arc<dyn Figures>>) -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("rohrpost"),
            orders: Family::default(),
            codes: Family::default(),
            order_seconds: Family::new_with_constructor(seconds as fn() -> Histogram),
            refused: Family::default(),
            shed: Family::default(),
            turn_seconds: seconds(),
            waiting: Gauge::default(),
            running: Gauge::default(),
            received_bytes: Counter::default(),
            sent_bytes: Counter::default(),
            spooled_bytes: Gauge::default(),
            answer_bytes: Gauge::default(),
            abandoned: Counter::default(),
            connections: Gauge::default(),
            connections_total: Counter::default(),
            handshakes_failed: Counter::default(),
        };
        metrics.register();
        // What happens for the first time shall be seen as a rise, not as the beginning.
        for cause in Overloaded::ALL {
            drop(metrics.shed.get_or_create(&[("cause", cause.as_str())]));
        }
        for cause in ["overloaded", "too_many_connections", "no_space", "internal"] {
            drop(metrics.refused.get_or_create(&[("cause", cause)]));
        }
        if let Some(figures) = figures {
            metrics.registry.register_collector(Box::new(Supplied(figures)));
        }
        metrics
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("orders", "Orders that were answered, by name and result", self.orders.clone());
        r.register("feedback_codes", "Feedback and fault codes in answers", self.codes.clone());
        r.register("order_seconds", "Time to work on an order, without waiting", self.order_seconds.clone());
        r.register("turn_seconds", "Time complete requests waited for their turn", self.turn_seconds.clone());
        r.register("orders_waiting", "Complete requests waiting for their turn", self.waiting.clone());
        r.register("orders_running", "Orders being worked on", self.running.clone());
        r.register("orders_shed", "Requests sent away because of load, by cause", self.shed.clone());
        r.register("requests_refused", "Requests the gateway did not pass on, by cause", self.refused.clone());
        r.register("received_bytes", "Bytes of request bodies", self.received_bytes.clone());
        r.register("sent_bytes", "Bytes of answers", self.sent_bytes.clone());
        r.register("spooled_bytes", "Bytes of requests received or worked on at present", self.spooled_bytes.clone());
        r.register(
            "answer_bytes",
            "Bytes of answers on disk that clients have not taken yet",
            self.answer_bytes.clone(),
        );
        r.register("answers_abandoned", "Answers the client did not take to the end", self.abandoned.clone());
        r.register("connections", "Open connections of clients", self.connections.clone());
        r.register("connections_accepted", "Connections accepted", self.connections_total.clone());
        r.register("tls_handshakes_failed", "TLS handshakes that failed", self.handshakes_failed.clone());
    }

    pub(crate) fn order(&self, outcome: &Outcome, took: Duration) {
        let order = ("order", outcome.order);
        self.orders.get_or_create(&[order, ("result", outcome.result.as_str())]).inc();
        self.order_seconds.get_or_create(&[order]).observe(took.as_secs_f64());
        for code in &outcome.codes {
            self.codes.get_or_create(&[("code", format!("{code:04}"))]).inc();
        }
    }

    pub(crate) fn refused(&self, problem: &Problem) {
        self.refused_for(problem.code());
    }

    pub(crate) fn refused_for(&self, cause: &'static str) {
        self.refused.get_or_create(&[("cause", cause)]).inc();
    }

    pub(crate) fn shed(&self, cause: Overloaded) {
        self.shed.get_or_create(&[("cause", cause.as_str())]).inc();
    }

    /// Shows the limits beside what they bound.
    pub(crate) fn limits(&mut self, limits: &Limits) {
        let answers = limits.spooled_bytes;
        for (name, help, limit) in [
            ("connections_limit", "Connections of clients at most", limits.connections as u64),
            ("connections_per_peer_limit", "Connections of one address at most", limits.connections_per_peer as u64),
            ("orders_running_limit", "Orders being worked on at most", limits.concurrent_orders as u64),
            ("orders_waiting_limit", "Requests waiting for their turn at most", limits.waiting_orders as u64),
            ("spooled_bytes_limit", "Bytes of requests received or worked on at most", limits.spooled_bytes),
            ("answer_bytes_limit", "Bytes of answers on disk at most", answers),
        ] {
            let gauge: Gauge = Gauge::default();
            gauge.set(i64::try_from(limit).unwrap_or(i64::MAX));
            self.registry.register(name, help, gauge);
        }
    }

    /// All figures in OpenMetrics text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        text::encode(&mut text, &self.registry).expect("writing to a string cannot fail");
        text
    }
}

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

/// Figures counted by others.
struct Supplied(Arc<dyn Figures>);

impl Collector for Supplied {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Figure { name, help, value } in self.0.figures() {
            let mut encoder = encoder.encode_descriptor(name, help, None, kind(&value))?;
            match value {
                FigureValue::Counter(value) => ConstCounter::new(value).encode(encoder)?,
                FigureValue::Gauge(value) => ConstGauge::new(value).encode(encoder)?,
                FigureValue::Histogram { buckets, sum } => {
                    let count = buckets.iter().map(|(_, count)| count).sum();
                    encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
                }
            }
        }
        Ok(())
    }
}

fn kind(value: &FigureValue) -> MetricType {
    match value {
        FigureValue::Counter(_) => MetricType::Counter,
        FigureValue::Gauge(_) => MetricType::Gauge,
        FigureValue::Histogram { .. } => MetricType::Histogram,
    }
}

impl fmt::Debug for Supplied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Supplied")
    }
}

/// Raises a gauge for as long as it lives.
pub(crate) struct Raised {
    gauge: Gauge,
    by: i64,
}

impl Raised {
    pub(crate) fn by_one(gauge: &Gauge) -> Self {
        gauge.inc();
        Self { gauge: gauge.clone(), by: 1 }
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        self.gauge.dec_by(self.by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::OrderResult;

    struct Three;

    impl Figures for Three {
        fn figures(&self) -> Vec<Figure> {
            let waits = FigureValue::Histogram { buckets: vec![(0.5, 3), (f64::INFINITY, 1)], sum: 2.25 };
            vec![
                Figure { name: "wait_seconds", help: "Time in a queue", value: waits },
                Figure { name: "rsa_decryptions", help: "Private key decryptions", value: FigureValue::Counter(7) },
                Figure { name: "deliveries_stored", help: "Deliveries in the store", value: FigureValue::Gauge(2.5) },
            ]
        }
    }

    #[test]
    fn text_has_own_and_supplied_figures() {
        let metrics = Metrics::new(Some(Arc::new(Three)));
        let outcome = Outcome { order: "StoreDelivery", result: OrderResult::Accepted, codes: vec![801] };
        metrics.order(&outcome, Duration::from_millis(3));
        metrics.refused(&Problem::EncodedBody);
        let running = Raised::by_one(&metrics.running);
        let text = metrics.text();
        for line in [
            r#"rohrpost_orders_total{order="StoreDelivery",result="accepted"} 1"#,
            r#"rohrpost_feedback_codes_total{code="0801"} 1"#,
            r#"rohrpost_order_seconds_bucket{le="0.005",order="StoreDelivery"} 1"#,
            r#"rohrpost_requests_refused_total{cause="encoded_body"} 1"#,
            "rohrpost_orders_running 1",
            "rohrpost_rsa_decryptions_total 7",
            "rohrpost_deliveries_stored 2.5",
            r#"rohrpost_wait_seconds_bucket{le="0.5"} 3"#,
            r#"rohrpost_wait_seconds_bucket{le="+Inf"} 4"#,
            "rohrpost_wait_seconds_count 4",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} not in\n{text}");
        }
        drop(running);
        assert!(metrics.text().contains("rohrpost_orders_running 0"));
    }
}
