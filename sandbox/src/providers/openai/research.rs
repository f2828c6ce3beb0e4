//! What a finished research response says: a strategy for the company that the request was about,
//! with citations, in the way models really answer (a code fence with prose around it).

use serde_json::{Map, Value, json};

/// The company that a research request is about.
#[derive(Debug)]
pub(crate) struct Company {
    pub(crate) name: String,
    pub(crate) domain: String,
}

impl Company {
    /// Reads the company from the text of a request: a line or a JSON field that names it.
    pub(crate) fn find(input: &str) -> Self {
        // The last one is the field of an object that describes the company.
        let labels = [
            "company_name",
            "company name",
            "companyname",
            "company",
            "\"name",
        ];
        let name = labels
            .iter()
            .find_map(|label| labelled(input, label))
            .unwrap_or_else(|| first_words(input));
        let domain = ["domain", "website"]
            .iter()
            .find_map(|label| labelled(input, label))
            .map(|domain| host(&domain).to_owned())
            .filter(|domain| domain.contains('.') && !domain.contains(' '))
            .unwrap_or_else(|| format!("{}.example", slug(&name)));
        Self { name, domain }
    }

    /// The text of the answer's message.
    pub(crate) fn strategy(&self) -> String {
        let object = Value::Object(self.sections());
        format!(
            "I looked at public sources about {}. Here is the strategy.\n\n```json\n{object:#}\n```\n\n\
             Figures are rounded; please check them before use.",
            self.name
        )
    }

    /// The `url_citation` annotations of [`Self::strategy`]; offsets count code points.
    pub(crate) fn annotations(&self, text: &str) -> Vec<Value> {
        self.sources()
            .into_iter()
            .filter_map(|(title, url)| {
                let mark = citation(&title, &url);
                let start = text[..text.find(&mark)?].chars().count();
                let end = start + mark.chars().count();
                Some(
                    json!({"type": "url_citation", "start_index": start, "end_index": end,
                            "title": title, "url": url}),
                )
            })
            .collect()
    }

    /// Title and address of each source.
    pub(crate) fn sources(&self) -> [(String, String); 3] {
        let Self { name, domain } = self;
        [
            (
                format!("{name} – pricing"),
                format!("https://{domain}/pricing"),
            ),
            (
                format!("{name} annual report"),
                format!("https://{domain}/investors/report"),
            ),
            (
                "Market overview".to_owned(),
                format!("https://news.example/{}", slug(name)),
            ),
        ]
    }

    fn sections(&self) -> Map<String, Value> {
        let name = &self.name;
        let [pricing, report, market] = self.sources().map(|(title, url)| citation(&title, &url));
        let table = "| Topic | Finding | Next step |\n| --- | --- | --- |\n\
                     | Pricing | Three tiers from 49 € | Test an annual plan |\n\
                     | Motion | Product-led, sales-assisted | Add a partner channel |\n\
                     | Market | Growing | Focus on mid-size makers |";
        let sections = [
            ("DOC_TITLE", format!("{name}: go-to-market strategy")),
            (
                "INTRO",
                format!(
                    "{name} sells to makers in Europe. {market}\n\nThis page sums up how it reaches them."
                ),
            ),
            (
                "PRICING_PACKAGING",
                format!("{name} has three tiers from 49 € a month. {pricing}"),
            ),
            (
                "GTM_MOTION",
                format!("{name} grows product-led, with sales for larger accounts."),
            ),
            (
                "TOUCH_MODEL",
                "- Low touch under 5 000 € a year\n- High touch above".to_owned(),
            ),
            (
                "ICP",
                format!("{name} fits companies of 50 to 500 people with their own production."),
            ),
            (
                "METRICS",
                "- Net retention 112 %\n- Payback 14 months".to_owned(),
            ),
            (
                "FINANCIALS",
                format!("{name} had about 18 million € of revenue last year. {report}"),
            ),
            (
                "FINANCING",
                format!("{name} closed a series B of 25 million € in 2025."),
            ),
            (
                "MARKET_MATURITY",
                "The market is past its early adopters.".to_owned(),
            ),
            (
                "STAKEHOLDERS",
                "- Head of production decides\n- IT reviews\n- Finance signs".to_owned(),
            ),
            ("SUMMARY_TABLE", table.to_owned()),
        ];
        sections
            .into_iter()
            .map(|(key, text)| (key.to_owned(), Value::String(text)))
            .collect()
    }
}

fn citation(title: &str, url: &str) -> String {
    format!("([{title}]({url}))")
}

/// The value after `label:` or `"label": "…"`, to the end of the line or quotation.
fn labelled(input: &str, label: &str) -> Option<String> {
    let lower = input.to_ascii_lowercase();
    lower.match_indices(label).find_map(|(start, _)| {
        let rest = input[start + label.len()..].trim_start_matches(['"', '*', ' ', '`']);
        let rest = rest.strip_prefix([':', '='])?;
        let rest = rest.trim_start_matches(['"', '*', ' ', '`']);
        let value = rest.split(['\n', '"', '<', '(', '`', '*']).next()?.trim();
        let value = value.trim_end_matches(['.', ',', ';']);
        let says_something = value.contains(char::is_alphanumeric);
        (says_something && value.len() <= 120).then(|| value.to_owned())
    })
}

fn first_words(input: &str) -> String {
    let words: Vec<_> = input.split_whitespace().take(6).collect();
    if words.is_empty() {
        "the company".to_owned()
    } else {
        words.join(" ").replace('"', "")
    }
}

fn host(address: &str) -> &str {
    let address = address
        .trim_start_matches("https://")
        .trim_start_matches("http://");
    address.split(['/', ' ', ',']).next().unwrap_or(address)
}

fn slug(name: &str) -> String {
    let lower = name.to_lowercase();
    let words = lower
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_company_is_read_from_a_line_or_a_field() {
        let line =
            Company::find("Research this.\nCompany: Acme, Inc.\nDomain: https://acme.example/a");
        assert_eq!(
            (line.name.as_str(), line.domain.as_str()),
            ("Acme, Inc", "acme.example")
        );
        let field = Company::find(r#"{"company_name": "Bolt Works", "notes": "x"}"#);
        assert_eq!(
            (field.name.as_str(), field.domain.as_str()),
            ("Bolt Works", "bolt-works.example")
        );
        let object = Company::find(
            "{\n \"company\": {\n  \"city\": \"Lyon\",\n  \"name\": \"Bolt Works\"\n }\n}",
        );
        assert_eq!(object.name, "Bolt Works");
    }

    #[test]
    fn annotations_cover_their_citation_in_code_points() {
        let company = Company::find("Company: Acme\nDomain: acme.example");
        let text = company.strategy();
        let characters: Vec<char> = text.chars().collect();
        let annotations = company.annotations(&text);
        assert_eq!(annotations.len(), 3);
        for annotation in annotations {
            let index = |key: &str| annotation[key].as_u64().unwrap() as usize;
            let cited: String = characters[index("start_index")..index("end_index")]
                .iter()
                .collect();
            let (title, url) = (annotation["title"].as_str(), annotation["url"].as_str());
            assert_eq!(cited, citation(title.unwrap(), url.unwrap()));
        }
    }
}
