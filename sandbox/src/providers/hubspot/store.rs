//! The deals, companies and notes of HubSpot's stand-in.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::app::now_text;

/// Property values; HubSpot's are text or null.
pub(crate) type Properties = BTreeMap<String, Option<String>>;

/// All objects.
#[derive(Debug)]
pub(crate) struct HubSpotStore {
    pub(crate) deals: BTreeMap<String, Record>,
    pub(crate) companies: BTreeMap<String, Record>,
    pub(crate) notes: BTreeMap<String, Record>,
    /// Deal properties that can be written; others must be created first.
    pub(crate) deal_properties: BTreeSet<String>,
    next_id: u64,
}

/// A deal, company or note.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) properties: Properties,
    /// A deal's companies; a note's deals.
    pub(crate) associated: Vec<String>,
    created_at: String,
    updated_at: String,
}

/// Properties that an answer always holds.
const ALWAYS: [&str; 3] = ["createdate", "hs_lastmodifieddate", "hs_object_id"];

impl HubSpotStore {
    /// A new object id.
    pub(crate) fn new_id(&mut self) -> String {
        self.next_id += 1;
        self.next_id.to_string()
    }
}

impl Default for HubSpotStore {
    /// The demo deal 9001 of Acme Robotics.
    fn default() -> Self {
        let company = Record::new(
            "8001",
            [
                ("name", "Acme Robotics"),
                ("domain", "acme-robotics.example"),
                ("industry", "MACHINERY"),
                ("city", "Lyon"),
                ("country", "France"),
            ],
            Vec::new(),
        );
        let deal = Record::new(
            "9001",
            [
                ("dealname", "Acme Robotics – platform"),
                ("dealstage", "appointmentscheduled"),
                ("pipeline", "default"),
                ("amount", "48000.00"),
            ],
            vec!["8001".to_owned()],
        );
        let known = [
            "amount",
            "closedate",
            "dealname",
            "dealstage",
            "description",
            "dealtype",
            "hs_next_step",
            "hubspot_owner_id",
            "pipeline",
            "research_doc_url",
        ];
        Self {
            deals: BTreeMap::from([("9001".to_owned(), deal)]),
            companies: BTreeMap::from([("8001".to_owned(), company)]),
            notes: BTreeMap::new(),
            deal_properties: known.map(str::to_owned).into(),
            next_id: 70_000_000,
        }
    }
}

impl Record {
    pub(crate) fn new<'a>(
        id: &str,
        properties: impl IntoIterator<Item = (&'a str, &'a str)>,
        associated: Vec<String>,
    ) -> Self {
        let now = now_text();
        let mut properties: Properties = properties
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Some(value.to_owned())))
            .collect();
        properties.insert("createdate".to_owned(), Some(now.clone()));
        properties.insert("hs_object_id".to_owned(), Some(id.to_owned()));
        properties.insert("hs_lastmodifieddate".to_owned(), Some(now.clone()));
        Self {
            id: id.to_owned(),
            properties,
            associated,
            created_at: now.clone(),
            updated_at: now,
        }
    }

    pub(crate) fn set(&mut self, name: &str, value: Option<String>) {
        self.properties.insert(name.to_owned(), value);
        self.updated_at = now_text();
        let updated_at = Some(self.updated_at.clone());
        self.properties
            .insert("hs_lastmodifieddate".to_owned(), updated_at);
    }

    /// The object as the API shows it: with the properties asked for, else `usual`.
    pub(crate) fn show(&self, asked: Option<&str>, usual: &[&str]) -> Value {
        let names: Vec<&str> = match asked {
            Some(asked) => asked.split(',').map(str::trim).collect(),
            None => usual.to_vec(),
        };
        let shown: Map<String, Value> = names
            .into_iter()
            .chain(ALWAYS)
            .filter_map(|name| Some((name.to_owned(), json!(self.properties.get(name)?))))
            .collect();
        json!({"id": self.id, "properties": shown, "createdAt": self.created_at,
               "updatedAt": self.updated_at, "archived": false})
    }
}
