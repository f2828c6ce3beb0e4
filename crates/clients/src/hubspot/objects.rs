//! Deals and companies.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::{Client, paths::OBJECTS};
use crate::{
    error::ClientError,
    lenient::{self, null_as_default},
};

/// A deal with the properties that were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deal {
    /// Its id.
    pub id: String,
    /// Values are texts or null; what does not exist is missing.
    pub properties: BTreeMap<String, Option<String>>,
    /// Its companies, each once, in HubSpot's order (the first page, up to 100).
    pub company_ids: Vec<String>,
}

/// A company with the properties that were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Company {
    /// Its id.
    #[serde(deserialize_with = "lenient::id")]
    pub id: String,
    /// Values are texts or null; what does not exist is missing.
    #[serde(default, deserialize_with = "null_as_default")]
    pub properties: BTreeMap<String, Option<String>>,
}

#[derive(Deserialize)]
struct DealAnswer {
    #[serde(flatten)]
    object: Company,
    #[serde(default, deserialize_with = "null_as_default")]
    associations: Associations,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Associations {
    companies: AssociationPage,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AssociationPage {
    results: Vec<AssociatedObject>,
}

#[derive(Deserialize)]
struct AssociatedObject {
    #[serde(deserialize_with = "lenient::id")]
    id: String,
}

impl Client {
    /// Reads a deal and the ids of its companies.
    pub async fn deal(&self, id: &str, properties: &[&str]) -> Result<Deal, ClientError> {
        let properties = properties.join(",");
        let request = self.request(Method::GET, OBJECTS, &["deals", id]).query(&[
            ("properties", properties.as_str()),
            ("associations", "companies"),
        ]);
        let answer: DealAnswer = self.call("read the deal", request).await?.parse()?;
        // The same company comes once for each type of its association.
        let mut company_ids = Vec::new();
        for company in answer.associations.companies.results {
            if !company_ids.contains(&company.id) {
                company_ids.push(company.id);
            }
        }
        let Company { id, properties } = answer.object;
        Ok(Deal {
            id,
            properties,
            company_ids,
        })
    }

    /// Reads a company.
    pub async fn company(&self, id: &str, properties: &[&str]) -> Result<Company, ClientError> {
        let request = self
            .request(Method::GET, OBJECTS, &["companies", id])
            .query(&[("properties", properties.join(","))]);
        self.call("read the company", request).await?.parse()
    }

    /// Sets properties of a deal. Harmless when repeated. Custom properties must exist in the
    /// account.
    pub async fn update_deal(
        &self,
        id: &str,
        properties: &BTreeMap<String, String>,
    ) -> Result<(), ClientError> {
        let request = self
            .request(Method::PATCH, OBJECTS, &["deals", id])
            .json(&json!({ "properties": properties }));
        self.call("update the deal", request).await?;
        Ok(())
    }
}
