//! The servers of a connection: the pool of `-servers`, and what can be asked about them.

use super::Connection;
use crate::error::Error;
use crate::json;
use crate::tcl::{self, Call, Dict, Interp, List, Method, Obj, Result, Return};
use crate::transport::ServerEntry;
use rand::seq::SliceRandom;

pub const METHODS: &[Method] = &[
    Method { name: "all_servers", usage: "", min: 0, max: 0, body: all_servers },
    Method { name: "current_server", usage: "", min: 0, max: 0, body: current_server },
    Method { name: "server_info", usage: "", min: 0, max: 0, body: server_info },
];

fn all_servers(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Connection>()?;
    let mut list = List::new();
    for entry in this.links.servers() {
        list.push(&entry_dict(&entry));
    }
    Ok(list.into())
}

fn current_server(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Connection>()?;
    let current = this.link()?.current().ok_or_else(Error::no_connection)?;
    Ok(Obj::list(&[Obj::new(&current.host), Obj::new(&current.port)]).into())
}

fn server_info(call: &Call<'_>) -> Result<Return> {
    let this = call.data::<Connection>()?;
    Ok(this.server_info().map_or_else(Obj::empty, |info| json::to_dict(&info.fields)).into())
}

/// The pool of a `-servers` list.
pub fn parse_pool(interp: Interp<'_>, list: &Obj, randomize: bool) -> Result<Vec<ServerEntry>> {
    let mut pool: Vec<ServerEntry> = Vec::new();
    // Tcl's error has a piece of the text, which may be of a password.
    let secret = list.text().contains('@') && interp.aside(|| list.elements(interp).is_err());
    if secret {
        let code = ["TCL", "VALUE", "LIST"].map(Into::into).to_vec();
        let message = "-servers is not a list".into();
        return Err(tcl::Error { message, code, hint: None }.into());
    }
    for url in list.elements(interp)? {
        pool.extend(ServerEntry::parse_all(&url.text())?);
    }
    if pool.iter().any(ServerEntry::is_websocket) && !pool.iter().all(ServerEntry::is_websocket) {
        let text = "WebSocket and other servers cannot be mixed";
        return Err(Error::invalid(text).into());
    }
    if randomize {
        let mut distinct: Vec<ServerEntry> = Vec::with_capacity(pool.len());
        for entry in pool {
            if !distinct.iter().any(|known| known.same_url(&entry)) {
                distinct.push(entry);
            }
        }
        distinct.shuffle(&mut rand::rng());
        pool = distinct;
    }
    Ok(pool)
}

/// A pool entry as `all_servers` shows it and as the delay callback gets it.
pub fn entry_dict(entry: &ServerEntry) -> Obj {
    let mut dict = Dict::new();
    dict.put("scheme", &Obj::new(&entry.scheme));
    dict.put("host", &Obj::new(&entry.host));
    dict.put("port", &Obj::new(&entry.port));
    dict.put("discovered", &Obj::word(entry.discovered));
    dict.put("reconnects", &Obj::int(entry.reconnects.into()));
    dict.put("last_attempt", &Obj::int(entry.last_attempt));
    for (name, value) in
        [("user", &entry.user), ("password", &entry.password), ("auth_token", &entry.auth_token)]
    {
        if let Some(value) = value {
            dict.put(name, &Obj::new(value));
        }
    }
    if !entry.path.is_empty() {
        dict.put("path", &Obj::new(&entry.path));
    }
    dict.into()
}
