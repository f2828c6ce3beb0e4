//! The real handlers, with the sandbox as their providers.

use std::sync::Arc;
use std::time::Duration;

use broker::{BrokerSettings, Failure, Handler, Outgoing, Publisher, Verdict, WorkQueue};
use config::Environment;
use sandbox::Sandbox;
use sandbox::environment::{Service, settings, write_service_account};
use sea_orm::DatabaseConnection;

use super::world::Message;
use crate::Config;
use crate::chat::flush::Flush;
use crate::chat::intake::Intake;
use crate::chat::reply::{Groups, Reply};
use crate::group_commit::GroupCommit;
use crate::notification::Notification;
use crate::research::completion::CompletionWorker;
use crate::research::submission::Submission;
use crate::run::documents;
use crate::sweeper::Forgotten;

/// The worker that reads a message.
pub(super) struct Workers {
    submission: Submission,
    completion: CompletionWorker,
    intake: Intake,
    flush: Flush,
    reply: Reply,
    notification: Notification,
    pub(super) forgotten: Forgotten,
}

impl Workers {
    pub(super) async fn handle(&self, message: &Message) -> Verdict {
        let (event, attempt) = (&message.event, message.attempt());
        match message.queue {
            WorkQueue::ResearchSubmission => self.submission.handle(event, attempt).await,
            WorkQueue::ResearchCompletion => self.completion.handle(event, attempt).await,
            WorkQueue::ChatIntake => self.intake.handle(event, attempt).await,
            WorkQueue::ChatFlush => self.flush.handle(event, attempt).await,
            WorkQueue::ChatReply => self.reply.handle(event, attempt).await,
            WorkQueue::NotificationDelivery => self.notification.handle(event, attempt).await,
        }
    }

    pub(super) async fn give_up(&self, message: &Message, failure: &Failure) -> Vec<Outgoing> {
        let event = &message.event;
        let given_up = match message.queue {
            WorkQueue::ResearchSubmission => self.submission.give_up(event, failure).await,
            WorkQueue::ResearchCompletion => self.completion.give_up(event, failure).await,
            WorkQueue::ChatIntake => self.intake.give_up(event, failure).await,
            WorkQueue::ChatFlush => self.flush.give_up(event, failure).await,
            WorkQueue::ChatReply => self.reply.give_up(event, failure).await,
            WorkQueue::NotificationDelivery => self.notification.give_up(event, failure).await,
        };
        given_up.unwrap()
    }
}

pub(super) fn workers(
    db: &DatabaseConnection,
    sandbox: &Sandbox,
    folder: &tempfile::TempDir,
) -> Workers {
    let key_file = write_service_account(sandbox.base_url(), folder.path()).unwrap();
    let services = [
        Service::Openai,
        Service::Hubspot,
        Service::Highlevel,
        Service::Google,
        Service::Notify,
    ];
    let pairs = services
        .into_iter()
        .flat_map(|service| settings(sandbox.base_url(), service))
        .chain([
            ("GOOGLE_APPLICATION_CREDENTIALS", key_file),
            ("MESSAGE_BATCH_WAIT_TIME", "30".to_owned()),
            ("MESSAGE_BATCH_MAX_WAIT", "90".to_owned()),
        ]);
    let config = Config::read(Environment::from_pairs(pairs)).unwrap();
    let openai = config
        .openai
        .clone()
        .map(|c| clients::openai::Client::new(c).unwrap());
    let hubspot = config
        .hubspot
        .clone()
        .map(|c| clients::hubspot::Client::new(c).unwrap());
    let highlevel = config
        .highlevel
        .clone()
        .map(|c| clients::highlevel::Client::new(c).unwrap());
    Workers {
        submission: Submission {
            db: db.clone(),
            openai: openai.clone(),
            hubspot: hubspot.clone(),
            settings: config.research.clone(),
            prices: config.prices.clone(),
        },
        completion: CompletionWorker {
            db: db.clone(),
            openai: openai.clone(),
            documents: documents(&config).unwrap(),
            prices: config.prices.clone(),
            watch: config.research.watch,
            resubmit: config.research.resubmit,
            cost_alert_usd: None,
        },
        intake: Intake {
            db: db.clone(),
            publisher: nowhere(),
            waits: config.batch_waits,
            storing: GroupCommit::default(),
        },
        flush: Flush {
            db: db.clone(),
            publisher: nowhere(),
            closing: GroupCommit::default(),
            closings: Arc::default(),
        },
        reply: Reply {
            db: db.clone(),
            openai,
            highlevel,
            settings: config.reply.clone(),
            prices: config.prices.clone(),
            groups: Groups::default(),
            closings: Arc::default(),
        },
        notification: Notification {
            db: db.clone(),
            hubspot,
            notify: clients::notify::Client::new().unwrap(),
            notify_url: config.notify_url.clone(),
            deal_property: config.deal_property.clone(),
        },
        forgotten: Forgotten {
            db: db.clone(),
            waits: config.batch_waits,
            watch: config.research.watch,
        },
    }
}

/// A publisher without a broker: no story changes the wait or has messages stored together, and for
/// nothing else do handlers publish themselves.
pub(crate) fn nowhere() -> Publisher {
    Publisher::start(BrokerSettings {
        url: "amqp://127.0.0.1:9/none".to_owned(),
        certificate_authority: None,
        name: "none".to_owned(),
        publish_deadline: Duration::from_secs(1),
    })
}
