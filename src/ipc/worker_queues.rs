//! How a worker gives a connection away.
#![forbid(unsafe_code)]

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use super::handover::{Connection, send, send_rescan};

/// A worker's ends of its pool's queues.
#[derive(Debug)]
pub(crate) struct WorkerQueues {
    /// Hand-over queue, reading end, shared by the pool's workers.
    pub queue: Rc<OwnedFd>,
    /// Hand-over queue, writing end.
    pub queue_in: OwnedFd,
    /// The channel to the zygote.
    pub park: OwnedFd,
}

impl WorkerQueues {
    /// Parks a connection with the zygote. Waits for up to a second if the zygote is slow.
    ///
    /// # Errors
    /// Returns the connection if the zygote has gone or stays slow.
    pub(crate) fn park(&self, connection: Connection) -> Result<(), Connection> {
        let mut connection = connection;
        for _ in 0..200 {
            match send(&self.park, connection) {
                Ok(()) => return Ok(()),
                Err((back, e)) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::ETOOMANYREFS)) => {
                    connection = back;
                }
                Err((back, _)) => return Err(back),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(connection)
    }

    /// Tells the zygote that the worker has left its retained connections.
    pub(crate) fn tell_of_left(&self) {
        send_rescan(&self.park);
    }

    /// Hands a connection to an idle worker of the pool, or parks it if the queue is full.
    ///
    /// # Errors
    /// Returns the connection if neither takes it.
    pub(crate) fn pass(&self, connection: Connection) -> Result<(), Connection> {
        send(&self.queue_in, connection).or_else(|(connection, _)| self.park(connection))
    }
}
