//! The stage of each test: an empty virtual host with the topology declared, a publisher, and a
//! plain AMQP client that puts in and takes out as an operator would.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use broker::{
    Attempt, BrokerSettings, ConsumerSettings, Failure, Handler, Outgoing, Publisher,
    PublisherStatus, Unavailable, Verdict, WorkQueue, consume,
};
use chrono::Utc;
use lapin::options::{
    BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use messages::{Envelope, event_type};
use serde_json::json;
use test_support::{Broker, eventually};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a test waits for what should happen at once.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// The queue that the tests read. Which one makes no difference.
pub(crate) const QUEUE: WorkQueue = WorkQueue::ChatReply;

/// What a handler's follow-ups become: an event for another queue.
pub(crate) const FOLLOW_UP_QUEUE: WorkQueue = WorkQueue::NotificationDelivery;

pub(crate) struct Stage {
    pub(crate) publisher: Publisher,
    pub(crate) broker: Broker,
}

impl Stage {
    pub(crate) async fn start() -> Self {
        // Shown with a failure. A test may have a subscriber of its own.
        let _ = tracing_subscriber::fmt().with_test_writer().try_init();
        Self::on(Broker::start()).await
    }

    /// On a broker of the test's own.
    pub(crate) async fn on(broker: Broker) -> Self {
        let publisher = Publisher::start(broker.settings());
        ready(&publisher).await;
        Self { publisher, broker }
    }

    /// Puts an event into [`QUEUE`].
    pub(crate) async fn put(&self, id: &str) {
        self.publisher
            .publish(&Outgoing::event(event(id)))
            .await
            .unwrap();
    }

    /// Puts bytes that no part of Millrace would write into [`QUEUE`].
    pub(crate) async fn put_raw(&self, body: &[u8], headers: &[(&str, &str)]) {
        let connection = self.connect().await;
        let channel = connection.create_channel().await.unwrap();
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await
            .unwrap();
        let mut table = FieldTable::default();
        for (name, value) in headers {
            table.insert((*name).into(), AMQPValue::LongString((*value).into()));
        }
        let properties = BasicProperties::default().with_headers(table);
        let options = BasicPublishOptions::default();
        let queue = QUEUE.name().into();
        let confirm = channel.basic_publish("".into(), queue, options, body, properties);
        assert!(confirm.await.unwrap().await.unwrap().is_ack());
        connection.close(200, "done".into()).await.unwrap();
    }

    /// Takes the next message out of a queue as soon as there is one.
    pub(crate) async fn take(&self, queue: &str) -> Taken {
        let connection = self.connect().await;
        let channel = connection.create_channel().await.unwrap();
        let taken = eventually(&format!("a message in {queue}"), SOON, async || {
            let options = BasicGetOptions { no_ack: true };
            let got = channel.basic_get(queue.into(), options).await.unwrap();
            got.map(|got| Taken::from(got.delivery))
                .ok_or("an empty queue")
        })
        .await;
        connection.close(200, "done".into()).await.unwrap();
        taken
    }

    /// Binds a queue, as a deployment of a new worker does.
    pub(crate) async fn bind(&self, queue: &str, exchange: &str, key: &str) {
        let connection = self.connect().await;
        let channel = connection.create_channel().await.unwrap();
        let options = lapin::options::QueueBindOptions::default();
        let none = lapin::types::FieldTable::default();
        channel
            .queue_bind(queue.into(), exchange.into(), key.into(), options, none)
            .await
            .unwrap();
    }

    /// How many messages wait in a queue, not counting those handed out and not yet acked.
    pub(crate) async fn count(&self, queue: &str) -> u32 {
        let connection = self.connect().await;
        let channel = connection.create_channel().await.unwrap();
        let passive = QueueDeclareOptions {
            passive: true,
            ..Default::default()
        };
        let found = channel
            .queue_declare(queue.into(), passive, FieldTable::default())
            .await;
        let count = found.unwrap().message_count();
        connection.close(200, "done".into()).await.unwrap();
        count
    }

    pub(crate) async fn connect(&self) -> Connection {
        let properties = ConnectionProperties::default();
        Connection::connect(self.broker.amqp_url(), properties)
            .await
            .unwrap()
    }

    /// Closes all connections; the publisher and a consumer had one each.
    pub(crate) async fn close_connections(&self, at_least: usize) {
        let closed = AtomicUsize::new(0);
        eventually("the connections are listed and closed", SOON, async || {
            let now = self.broker.close_connections();
            let all = closed.fetch_add(now, Ordering::SeqCst) + now;
            if all >= at_least { Ok(()) } else { Err(all) }
        })
        .await;
    }

    /// Reads [`QUEUE`] with one attempt and one message at a time.
    pub(crate) async fn read<F, R>(&self, act: F) -> Reading
    where
        F: Fn(Envelope, Attempt) -> R + Send + Sync + 'static,
        R: Future<Output = Verdict> + Send + 'static,
    {
        self.read_with(|_| {}, act).await
    }

    /// Reads [`QUEUE`] with settings of the test's own.
    pub(crate) async fn read_with<F, R>(
        &self,
        change: impl FnOnce(&mut ConsumerSettings),
        act: F,
    ) -> Reading
    where
        F: Fn(Envelope, Attempt) -> R + Send + Sync + 'static,
        R: Future<Output = Verdict> + Send + 'static,
    {
        let diary = Diary::default();
        let actor = Actor {
            act,
            diary: diary.clone(),
        };
        self.read_as(change, actor, diary).await
    }

    /// Reads [`QUEUE`] with a handler of the test's own.
    pub(crate) async fn read_as(
        &self,
        change: impl FnOnce(&mut ConsumerSettings),
        handler: impl Handler,
        diary: Diary,
    ) -> Reading {
        let mut settings = ConsumerSettings {
            broker: self.broker.settings(),
            queue: QUEUE,
            concurrency: 1,
            attempts: 1,
            handler_deadline: Duration::from_secs(60),
            grace: Duration::from_secs(10),
        };
        change(&mut settings);
        let (sender, mut consuming) = watch::channel(false);
        let shutdown = CancellationToken::new();
        let loops = consume(
            settings,
            self.publisher.clone(),
            handler,
            sender,
            shutdown.clone(),
        );
        let task = tokio::spawn(loops);
        tokio::time::timeout(SOON, consuming.wait_for(|reading| *reading))
            .await
            .unwrap()
            .unwrap();
        Reading {
            diary,
            consuming,
            shutdown,
            task,
        }
    }
}

/// A consumer loop that runs.
pub(crate) struct Reading {
    pub(crate) diary: Diary,
    pub(crate) consuming: watch::Receiver<bool>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

impl Reading {
    /// Shuts the loop down; a panic of the loop itself fails the test.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(SOON, self.task)
            .await
            .unwrap()
            .unwrap();
    }
}

/// What the handler was asked to do, in order.
#[derive(Clone, Default)]
pub(crate) struct Diary {
    handled: Arc<Mutex<Vec<(String, Attempt)>>>,
    given_up: Arc<Mutex<Vec<(String, Failure)>>>,
}

impl Diary {
    pub(crate) fn note_handled(&self, event: &Envelope, attempt: Attempt) {
        self.handled
            .lock()
            .unwrap()
            .push((event.id.clone(), attempt));
    }

    pub(crate) fn note_given_up(&self, event: &Envelope, failure: &Failure) {
        self.given_up
            .lock()
            .unwrap()
            .push((event.id.clone(), failure.clone()));
    }

    /// The ids of the messages that were handled.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.attempts().into_iter().map(|(id, _)| id).collect()
    }

    /// The ids with the number of the attempt.
    pub(crate) fn numbers(&self) -> Vec<(String, u32)> {
        self.attempts()
            .into_iter()
            .map(|(id, attempt)| (id, attempt.number))
            .collect()
    }

    pub(crate) fn attempts(&self) -> Vec<(String, Attempt)> {
        self.handled.lock().unwrap().clone()
    }

    pub(crate) fn given_up(&self) -> Vec<(String, Failure)> {
        self.given_up.lock().unwrap().clone()
    }

    /// Waits until the handler was called this often.
    pub(crate) async fn reaches(&self, calls: usize) {
        eventually(&format!("{calls} calls of the handler"), SOON, async || {
            let seen = self.numbers();
            if seen.len() >= calls {
                Ok(())
            } else {
                Err(seen)
            }
        })
        .await;
    }
}

/// A handler that does what the test says, and gives up with one follow-up.
struct Actor<F> {
    act: F,
    diary: Diary,
}

impl<F, R> Handler for Actor<F>
where
    F: Fn(Envelope, Attempt) -> R + Send + Sync + 'static,
    R: Future<Output = Verdict> + Send + 'static,
{
    async fn handle(&self, event: &Envelope, attempt: Attempt) -> Verdict {
        self.diary.note_handled(event, attempt);
        (self.act)(event.clone(), attempt).await
    }

    async fn give_up(
        &self,
        event: &Envelope,
        failure: &Failure,
    ) -> Result<Vec<Outgoing>, Unavailable> {
        self.diary.note_given_up(event, failure);
        Ok(vec![follow_up(&format!("{}-failed", event.id))])
    }
}

/// A message as it was found in a queue.
pub(crate) struct Taken {
    pub(crate) body: Vec<u8>,
    pub(crate) properties: BasicProperties,
}

impl Taken {
    pub(crate) fn id(&self) -> String {
        Envelope::decode(&self.body).unwrap().id
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let headers = self.properties.headers().as_ref()?;
        headers
            .inner()
            .get(name)?
            .as_long_string()
            .map(ToString::to_string)
    }
}

impl From<lapin::message::Delivery> for Taken {
    fn from(delivery: lapin::message::Delivery) -> Self {
        Self {
            body: delivery.data.clone(),
            properties: delivery.properties.clone(),
        }
    }
}

/// An event that the topology routes to [`QUEUE`].
pub(crate) fn event(id: &str) -> Envelope {
    typed(event_type::BATCH_CLOSED, id)
}

/// An event that the topology routes to [`FOLLOW_UP_QUEUE`].
pub(crate) fn follow_up(id: &str) -> Outgoing {
    Outgoing::event(typed(event_type::DOCUMENT_CREATED, id))
}

pub(crate) fn typed(event_type: &str, id: &str) -> Envelope {
    Envelope::new(event_type, id, "/test", Utc::now(), &json!({"id": id}))
}

/// A verdict without follow-ups.
pub(crate) async fn done() -> Verdict {
    Verdict::Done(Vec::new())
}

pub(crate) fn failure() -> Failure {
    Failure::new("provider_error", "the provider answered 500")
}

pub(crate) async fn ready(publisher: &Publisher) {
    eventually("the publisher connects", SOON, async || {
        match publisher.status() {
            PublisherStatus::Ready => Ok(()),
            other => Err(other),
        }
    })
    .await;
}

/// The same settings with another address.
pub(crate) fn settings_at(url: &str, publish_deadline: Duration) -> BrokerSettings {
    BrokerSettings {
        url: url.to_owned(),
        certificate_authority: None,
        name: "test".to_owned(),
        publish_deadline,
    }
}
