//! Starting the workers of a process.

use std::sync::Arc;
use std::time::Duration;

use broker::{BrokerSettings, ConsumerSettings, Handler, Publisher, WorkQueue, consume};
use entities::ConnectError;
use sea_orm::{DatabaseConnection, DbErr};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::chat::flush::Flush;
use crate::chat::intake::Intake;
use crate::chat::precedence::Closings;
use crate::chat::reply::{Groups, Reply};
use crate::conservation::{self, Books, CountError, Recorded, Waits};
use crate::erasure::Eraser;
use crate::group_commit::GroupCommit;
use crate::notification::Notification;
use crate::research::completion::CompletionWorker;
use crate::research::document::{Documents, GoogleDocuments};
use crate::research::submission::Submission;
use crate::retention::Pruner;
use crate::sweeper::{Forgotten, Sweeper};
use crate::{Config, Role};

/// How many attempts a message has before it is parked (design.md §5).
const ATTEMPTS: u32 = 6;

/// How long running handlers may finish after SIGTERM; orchestrators kill after 30 s.
const GRACE: Duration = Duration::from_secs(25);

/// How long one publish may take. A worker loses nothing by waiting longer than a webhook can.
const PUBLISH_DEADLINE: Duration = Duration::from_secs(10);

/// How long the database may take to answer at start.
const DATABASE_PATIENCE: Duration = Duration::from_secs(60);

/// Connections to the database from one process. SQLite has one writer anyway.
const DATABASE_CONNECTIONS: u32 = 16;

/// Why the workers can't start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The database can't be opened. A retry can help where it is only away.
    #[error("the database can't be opened; see DATABASE_URL")]
    Database(#[from] ConnectError),
    /// The schema can't be read.
    #[error("the database's schema can't be read")]
    Schema(#[from] DbErr),
    /// The schema is older than this build.
    #[error("the database's schema is older than this build: {} is missing; run `millrace-worker migrate` first", .0.join(", "))]
    OldSchema(Vec<String>),
    /// The broker can't be asked.
    #[error("the broker can't be asked; see AMQP_URL")]
    Broker(#[from] CountError),
    /// A client can't be set up.
    #[error("a client can't be set up")]
    Client(#[from] clients::ClientError),
}

/// The workers of a process.
pub struct Running {
    tasks: JoinSet<()>,
    consuming: Vec<watch::Receiver<bool>>,
}

impl Running {
    /// Whether every queue of the roles is being read.
    pub fn health(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        let consuming = self.consuming.clone();
        move || consuming.iter().all(|queue| *queue.borrow())
    }

    /// Waits until all workers have stopped, which they do when their shutdown token is cancelled.
    pub async fn stopped(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Connects, checks the schema and starts the workers of the roles, which run until `shutdown`.
///
/// # Errors
/// [`RunError`]
pub async fn start(
    config: Config,
    roles: &[Role],
    shutdown: CancellationToken,
) -> Result<Running, RunError> {
    let db = connect_to_current_schema(&config).await?;
    let clients = Clients::new(&config)?;
    warn_of_what_is_off(&config, roles);
    let broker = broker_settings(&config);
    let mut starter = Starter {
        publisher: Publisher::start(broker.clone()),
        broker,
        tasks: JoinSet::new(),
        consuming: Vec::new(),
        shutdown,
        closings: Arc::default(),
    };
    for role in roles {
        starter.start(*role, &config, &db, &clients)?;
    }
    if let Some(openai) = &clients.openai {
        let models = [config.research.model.clone(), config.reply.model.clone()];
        starter
            .tasks
            .spawn(warn_of_shutdown_dates(openai.clone(), models));
    }
    Ok(Running {
        tasks: starter.tasks,
        consuming: starter.consuming,
    })
}

/// Opens the books of rows and of messages, to be compared.
///
/// # Errors
/// [`RunError`]
pub async fn open_books(config: &Config, margin: Duration) -> Result<Books, RunError> {
    let db = connect_to_current_schema(config).await?;
    let broker = broker_settings(config);
    Ok(Books::open(db, &broker, &waits(config), margin).await?)
}

/// What removes everything that has been kept for its time.
///
/// # Errors
/// [`RunError`]
pub async fn pruner(config: &Config) -> Result<Pruner, RunError> {
    Ok(pruner_on(connect_to_current_schema(config).await?, config))
}

fn pruner_on(db: DatabaseConnection, config: &Config) -> Pruner {
    Pruner {
        db,
        broker: broker_settings(config),
        documents_dir: config.documents_dir.clone(),
        times: config.retention,
    }
}

/// What deletes one contact's data.
///
/// # Errors
/// [`RunError`]
pub async fn eraser(config: &Config) -> Result<Eraser, RunError> {
    Ok(Eraser {
        db: connect_to_current_schema(config).await?,
        broker: broker_settings(config),
    })
}

fn broker_settings(config: &Config) -> BrokerSettings {
    BrokerSettings {
        url: config.amqp_url.expose().to_owned(),
        certificate_authority: config.amqp_ca.clone(),
        name: "millrace-worker".to_owned(),
        publish_deadline: PUBLISH_DEADLINE,
    }
}

fn waits(config: &Config) -> Waits {
    Waits {
        batches: config.batch_waits,
        watch: config.research.watch,
    }
}

async fn connect_to_current_schema(config: &Config) -> Result<DatabaseConnection, RunError> {
    let db = connect(config).await?;
    let missing = migration::pending(&db).await?;
    if missing.is_empty() {
        Ok(db)
    } else {
        Err(RunError::OldSchema(missing))
    }
}

async fn connect(config: &Config) -> Result<DatabaseConnection, ConnectError> {
    let started = tokio::time::Instant::now();
    loop {
        match entities::connect(config.database_url.expose(), DATABASE_CONNECTIONS).await {
            Err(error) if error.is_transient() && started.elapsed() < DATABASE_PATIENCE => {
                warn!(%error, "The database does not answer yet; trying again.");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            connected => return connected,
        }
    }
}

struct Clients {
    openai: Option<clients::openai::Client>,
    hubspot: Option<clients::hubspot::Client>,
    highlevel: Option<clients::highlevel::Client>,
    notify: clients::notify::Client,
}

impl Clients {
    fn new(config: &Config) -> Result<Self, clients::ClientError> {
        let openai = config
            .openai
            .clone()
            .map(clients::openai::Client::new)
            .transpose()?;
        let hubspot = config
            .hubspot
            .clone()
            .map(clients::hubspot::Client::new)
            .transpose()?;
        let highlevel = config
            .highlevel
            .clone()
            .map(clients::highlevel::Client::new)
            .transpose()?;
        Ok(Self {
            openai,
            hubspot,
            highlevel,
            notify: clients::notify::Client::new()?,
        })
    }
}

struct Starter {
    publisher: Publisher,
    broker: BrokerSettings,
    tasks: JoinSet<()>,
    consuming: Vec<watch::Receiver<bool>>,
    shutdown: CancellationToken,
    closings: Arc<Closings>,
}

impl Starter {
    fn start(
        &mut self,
        role: Role,
        config: &Config,
        db: &DatabaseConnection,
        clients: &Clients,
    ) -> Result<(), RunError> {
        match role {
            Role::Research => {
                let submission = Submission {
                    db: db.clone(),
                    openai: clients.openai.clone(),
                    hubspot: clients.hubspot.clone(),
                    settings: config.research.clone(),
                    prices: config.prices.clone(),
                };
                self.read(db, WorkQueue::ResearchSubmission, 8, 180, submission);
            }
            Role::Completion => {
                let completion = CompletionWorker {
                    db: db.clone(),
                    openai: clients.openai.clone(),
                    documents: documents(config)?,
                    prices: config.prices.clone(),
                    watch: config.research.watch,
                    resubmit: config.research.resubmit,
                    cost_alert_usd: config.cost_alert_usd,
                };
                self.read(db, WorkQueue::ResearchCompletion, 16, 600, completion);
            }
            Role::Batching => {
                let intake = Intake {
                    db: db.clone(),
                    publisher: self.publisher.clone(),
                    waits: config.batch_waits,
                    storing: GroupCommit::default(),
                };
                self.read(db, WorkQueue::ChatIntake, 512, 60, intake);
                let flush = Flush {
                    db: db.clone(),
                    publisher: self.publisher.clone(),
                    closing: GroupCommit::default(),
                    closings: self.closings.clone(),
                };
                self.read(db, WorkQueue::ChatFlush, 256, 600, flush);
            }
            Role::Reply => {
                let reply = Reply {
                    db: db.clone(),
                    openai: clients.openai.clone(),
                    highlevel: clients.highlevel.clone(),
                    settings: config.reply.clone(),
                    prices: config.prices.clone(),
                    groups: Groups::default(),
                    closings: self.closings.clone(),
                };
                self.read(db, WorkQueue::ChatReply, 512, 300, reply);
            }
            Role::Notification => {
                let notification = Notification {
                    db: db.clone(),
                    hubspot: clients.hubspot.clone(),
                    notify: clients.notify.clone(),
                    notify_url: config.notify_url.clone(),
                    deal_property: config.deal_property.clone(),
                };
                self.read(db, WorkQueue::NotificationDelivery, 16, 180, notification);
            }
            Role::Sweeper => {
                let sweeper = Sweeper {
                    forgotten: Forgotten {
                        db: db.clone(),
                        waits: config.batch_waits,
                        watch: config.research.watch,
                    },
                    publisher: self.publisher.clone(),
                    broker: self.broker.clone(),
                };
                self.tasks.spawn(sweeper.run(self.shutdown.clone()));
                let pruner = pruner_on(db.clone(), config);
                self.tasks.spawn(pruner.run(self.shutdown.clone()));
                self.tasks.spawn(conservation::watch(
                    db.clone(),
                    self.broker.clone(),
                    waits(config),
                    self.shutdown.clone(),
                ));
            }
        }
        Ok(())
    }

    fn read<H: Handler>(
        &mut self,
        db: &DatabaseConnection,
        queue: WorkQueue,
        concurrency: u16,
        deadline_seconds: u64,
        handler: H,
    ) {
        let settings = ConsumerSettings {
            broker: self.broker.clone(),
            queue,
            concurrency,
            attempts: ATTEMPTS,
            handler_deadline: Duration::from_secs(deadline_seconds),
            grace: GRACE,
        };
        let (sender, receiver) = watch::channel(false);
        self.consuming.push(receiver);
        let publisher = self.publisher.clone();
        let handler = Recorded {
            db: db.clone(),
            queue,
            handler,
        };
        self.tasks.spawn(consume(
            settings,
            publisher,
            handler,
            sender,
            self.shutdown.clone(),
        ));
    }
}

pub(crate) fn documents(config: &Config) -> Result<Documents, RunError> {
    Ok(match &config.google {
        Some(google) => {
            info!("Documents are made in Google Drive.");
            Documents::Google(Box::new(GoogleDocuments {
                client: clients::google::Client::new(google.client.clone())?,
                folder_id: google.folder_id.clone(),
                template_id: google.template_id.clone(),
            }))
        }
        None => {
            let folder = config.documents_dir.display();
            info!(%folder, "Documents are made as files: GOOGLE_APPLICATION_CREDENTIALS is not set.");
            Documents::Local(config.documents_dir.clone())
        }
    })
}

/// Says at start what can't work, instead of leaving it to the first message.
fn warn_of_what_is_off(config: &Config, roles: &[Role]) {
    let has = |role| roles.contains(&role);
    if config.openai.is_none() && (has(Role::Research) || has(Role::Completion) || has(Role::Reply))
    {
        warn!("OPENAI_API_KEY is not set: research and replies are parked until it is.");
    }
    if has(Role::Reply) {
        match &config.highlevel {
            None => warn!("GHL_API_KEY is not set: replies are parked until it is."),
            Some(highlevel) if highlevel.location_id.is_empty() => {
                warn!(
                    "GHL_LOCATION_ID is not set: conversations can't be searched for, so a reply of unknown outcome may be sent again."
                );
            }
            Some(_) => {}
        }
    }
    if has(Role::Research) {
        match (&config.research.trigger_stage, &config.hubspot) {
            (None, _) => warn!(
                "HUBSPOT_TRIGGER_STAGE is not set: deals start no research, only POST /generate does."
            ),
            (Some(_), None) => warn!(
                "HUBSPOT_ACCESS_TOKEN is not set: deals that reach the stage are parked until it is."
            ),
            (Some(_), Some(_)) => {}
        }
    }
    for model in [&config.research.model, &config.reply.model] {
        if !config.prices.knows(model) {
            warn!(
                model,
                "The price of this model is not known: its costs count as 0. See OPENAI_PRICES_FILE."
            );
        }
    }
}

/// Model names live for months: says when a configured one is going to die.
async fn warn_of_shutdown_dates(openai: clients::openai::Client, models: [String; 2]) {
    for name in models {
        match openai.model(&name).await {
            Ok(model) => {
                if let Some(date) = model.shutdown_date {
                    warn!(model = name, %date, "OpenAI shuts this model down on this date; configure another one before.");
                }
            }
            Err(error) if error.kind() == clients::ErrorKind::NotFound => {
                warn!(
                    model = name,
                    "OpenAI does not know this model; configure another one."
                );
            }
            Err(error) => info!(model = name, %error, "Could not ask OpenAI about the model."),
        }
    }
}
