//! Asks a server as its plan says, on connections of our own: straight, or through the front door.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use preheat_api::exchange::Template;
use preheat_core::warmup::OutputFacts;

use crate::door::{DoorError, Doors, HttpConnection};
use crate::exchange::{Exchange, Outgoing, Unfit};

/// A request that was found to be one that the server takes.
#[derive(Debug, Clone)]
pub struct Chosen {
    pub exchange: Exchange,
    pub out: Outgoing,
}

/// Why there is no right answer.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("{}", .0.chain())]
    Door(DoorError),
    #[error(transparent)]
    Unfit(Unfit),
}

impl Problem {
    /// The server does not take requests of this kind; it will not later.
    #[must_use]
    pub fn is_malformed(&self) -> bool {
        matches!(self, Problem::Unfit(Unfit::Malformed(_)))
    }

    /// Says more about a crowd or a start than about the answers.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Problem::Door(error) => error.is_passing(),
            Problem::Unfit(unfit) => matches!(unfit, Unfit::NotYet(_)),
        }
    }
}

/// What came of one request.
#[derive(Debug)]
pub struct Answered {
    pub took: Duration,
    pub facts: OutputFacts,
    pub body: Bytes,
}

impl Chosen {
    #[must_use]
    pub fn new(exchange: &Exchange, template: &Template, model: &str) -> Self {
        Chosen {
            exchange: exchange.clone(),
            out: exchange.fill(template, model),
        }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.exchange.name
    }

    /// What stands for its size in reports.
    #[must_use]
    pub fn size(&self) -> String {
        format!("{} B", self.out.body.len())
    }

    /// On a connection of its own, timed from before it is opened.
    ///
    /// # Errors
    /// When there is no right answer.
    pub async fn first(&self, doors: &Doors) -> Result<(HttpConnection, Answered), Problem> {
        let began = Instant::now();
        let mut connection = HttpConnection::open(doors).await.map_err(Problem::Door)?;
        let answered = self.timed(&mut connection, began).await?;
        Ok((connection, answered))
    }

    /// Once more on a connection that is open. One that the server has closed is opened anew.
    ///
    /// # Errors
    /// As for [`first`](Self::first).
    pub async fn again(
        &self,
        connection: &mut HttpConnection,
        doors: &Doors,
    ) -> Result<Answered, Problem> {
        if !connection.is_open().await {
            *connection = HttpConnection::open(doors).await.map_err(Problem::Door)?;
        }
        self.timed(connection, Instant::now()).await
    }

    async fn timed(
        &self,
        connection: &mut HttpConnection,
        began: Instant,
    ) -> Result<Answered, Problem> {
        let (status, body) = connection
            .exchange(&self.out)
            .await
            .map_err(Problem::Door)?;
        let took = began.elapsed();
        let checked = self.exchange.check(&self.out.path, status, &body);
        let facts = checked.map_err(Problem::Unfit)?;
        Ok(Answered { took, facts, body })
    }
}

/// Whether the server says that it is ready.
///
/// # Errors
/// What it says instead.
pub async fn ready(doors: &Doors, path: &str) -> Result<(), String> {
    let out = Outgoing {
        method: Method::GET,
        path: path.to_owned(),
        body: Vec::new(),
    };
    let answer = async {
        let mut connection = HttpConnection::open(doors).await?;
        connection.exchange(&out).await
    };
    match answer.await {
        Ok((200..=299, _)) => Ok(()),
        Ok((status, _)) => Err(format!("GET {path}: status {status}")),
        Err(error) => Err(format!("GET {path}: {}", error.chain())),
    }
}
