//! A page of HTML that needs nothing but itself: the style is in it, pictures are data URIs, and there is no script.

use std::fmt::Display;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::draw;

/// A page under way: sections with their headings.
pub struct Page {
    title: String,
    head: String,
    sections: Vec<(&'static str, &'static str, String)>,
}

impl Page {
    /// A page whose heading is followed by `head`, which is HTML.
    pub fn new(title: String, head: String) -> Self {
        Page { title, head, sections: Vec::new() }
    }

    /// Adds a section. `body` is HTML; with an empty one there is no section.
    pub fn section(&mut self, id: &'static str, heading: &'static str, body: String) {
        if !body.is_empty() {
            self.sections.push((id, heading, body));
        }
    }

    /// The whole document, with `foot` at its end.
    pub fn html(&self, foot: &str) -> String {
        let title = escape(&self.title);
        let links = self
            .sections
            .iter()
            .map(|(id, heading, _)| format!("<a href=\"#{id}\">{heading}</a>\n"));
        let sections = self.sections.iter().map(|(id, heading, body)| {
            format!("<section id=\"{id}\">\n<h2>{heading}</h2>\n{body}\n</section>\n")
        });
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>\n{}</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>\n{}\n\
             <nav>\n{}</nav>\n</header>\n<main>\n{}</main>\n<footer>{foot}</footer>\n</body>\n</html>\n",
            include_str!("page.css"),
            self.head,
            links.collect::<String>(),
            sections.collect::<String>(),
        )
    }
}

/// Text as HTML.
pub fn escape(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    escaped.replace('"', "&quot;")
}

/// A PNG as the address of a picture.
pub fn data_uri(png: &[u8]) -> String {
    format!("data:image/png;base64,{}", STANDARD.encode(png))
}

/// A drawing that is a document of its own, shown as a picture.
pub fn drawing(svg: &str, alt: &str) -> String {
    let (code, alt) = (STANDARD.encode(svg), escape(alt));
    format!(
        "<figure><img class=\"sheet\" src=\"data:image/svg+xml;base64,{code}\" alt=\"{alt}\"></figure>\n"
    )
}

/// A picture that is shown at its own size or smaller, with words below.
pub fn figure(picture: &image::RgbImage, caption: &str) -> draw::Result<String> {
    let (width, height) = picture.dimensions();
    let (address, alt) = (data_uri(&draw::tiles::png(picture)?), escape(caption));
    Ok(format!(
        "<figure><img class=\"sheet pixels\" width=\"{width}\" height=\"{height}\" src=\"{address}\" alt=\"{alt}\">\
         <figcaption>{alt}</figcaption></figure>\n"
    ))
}

/// A column of a [`table`]: its heading, and whether it holds numbers.
pub type Column = (&'static str, bool);

/// A table of texts; the last `foot` rows stand apart.
pub fn table(columns: &[Column], rows: &[Vec<String>], foot: usize) -> String {
    let cells = |tag: &str, row: &[String]| -> String {
        let cell = |(text, (_, number)): (&String, &Column)| {
            let class = if *number { " class=\"number\"" } else { "" };
            format!("<{tag}{class}>{}</{tag}>", escape(text))
        };
        let cells: String = row.iter().zip(columns).map(cell).collect();
        format!("<tr>{cells}</tr>\n")
    };
    let headings: Vec<String> = columns.iter().map(|(heading, _)| (*heading).to_owned()).collect();
    let (body, foot) = rows.split_at(rows.len() - foot);
    let part = |rows: &[Vec<String>]| rows.iter().map(|row| cells("td", row)).collect::<String>();
    format!(
        "<div class=\"scroll\"><table>\n<thead>{}</thead>\n<tbody>{}</tbody>\n<tfoot>{}</tfoot>\n</table></div>\n",
        cells("th", &headings),
        part(body),
        part(foot)
    )
}

/// A table of names and what they stand for.
pub fn pairs(rows: &[(&str, String)]) -> String {
    let row = |(name, value): &(&str, String)| {
        format!("<tr><th>{}</th><td>{}</td></tr>\n", escape(name), escape(value))
    };
    format!(
        "<div class=\"scroll\"><table>{}</table></div>\n",
        rows.iter().map(row).collect::<String>()
    )
}

/// Large figures with their names, and a remark each.
pub fn figures(rows: &[(&str, String, String)]) -> String {
    let row = |(name, value, remark): &(&str, String, String)| {
        let [name, value, remark] = [*name, value.as_str(), remark.as_str()].map(escape);
        format!("<div><dt>{name}</dt><dd>{value}<small>{remark}</small></dd></div>\n")
    };
    format!("<dl class=\"figures\">\n{}</dl>\n", rows.iter().map(row).collect::<String>())
}

/// A paragraph of text.
pub fn note(text: impl Display) -> String {
    format!("<p class=\"note\">{}</p>\n", escape(&text.to_string()))
}
