//! One trace through the broker: from what published a message to what its handler publishes.

use std::sync::{Arc, Mutex};

use broker::{Outgoing, Verdict};
use messages::Envelope;
use opentelemetry::trace::{SpanId, TraceId, TracerProvider as _};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use test_support::eventually;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::stage::{FOLLOW_UP_QUEUE, SOON, Stage, event, follow_up};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// Keeps the spans that have ended.
#[derive(Debug, Clone, Default)]
struct Ended(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Ended {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_and_its_follow_ups_belong_to_the_trace_of_the_message() {
    let ended = Ended::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(ended.clone())
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    // Of the whole process: the handler runs on other threads. nextest gives each test its own.
    let subscriber = tracing_subscriber::registry()
        .with(layer)
        .with(tracing_subscriber::filter::LevelFilter::INFO);
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let stage = Stage::start().await;
    let traced = event("traced").with_traceparent(Some(format!("00-{TRACE}-{PARENT}-01")));
    stage
        .publisher
        .publish(&Outgoing::event(traced))
        .await
        .unwrap();
    let reading = stage
        .read(|_, _| async { Verdict::Done(vec![follow_up("effect")]) })
        .await;

    let effect = Envelope::decode(&stage.take(FOLLOW_UP_QUEUE.name()).await.body).unwrap();
    let span = eventually("the handler's span ends", SOON, async || {
        let ended = ended.0.lock().unwrap();
        let span = ended.iter().find(|span| span.name == "process chat.reply");
        span.cloned().ok_or_else(|| {
            ended
                .iter()
                .map(|span| span.name.clone())
                .collect::<Vec<_>>()
        })
    })
    .await;
    assert_eq!(
        span.span_context.trace_id(),
        TraceId::from_hex(TRACE).unwrap()
    );
    assert_eq!(span.parent_span_id, SpanId::from_hex(PARENT).unwrap());
    let expected = format!("00-{TRACE}-{}-01", span.span_context.span_id());
    assert_eq!(
        effect.traceparent,
        Some(expected),
        "the follow-up's parent is the handler's span"
    );
    reading.stop().await;
}
