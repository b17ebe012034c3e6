//! Panels, and how Grafana wants them written.

use serde_json::{Value, json};

use super::RUNBOOKS;

/// Columns of a dashboard.
const COLUMNS: u32 = 24;

/// How numbers are shown.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Lines over time.
    Series,
    /// Areas over time, one on the other.
    Stack,
    /// One number, coloured by what it means.
    Stat,
    /// How often each duration, over time.
    Heat,
    /// A bar for each series, now.
    Bars,
}

/// A colour from this value on; the first has none.
type Step = (Option<f64>, &'static str);

/// One picture.
pub(super) struct Panel {
    kind: Kind,
    title: &'static str,
    description: String,
    unit: &'static str,
    targets: Vec<(String, &'static str)>,
    steps: Vec<Step>,
    width: u32,
    height: u32,
    max: Option<f64>,
    alerts: Vec<&'static str>,
}

impl Panel {
    /// Shows one expression; `legend` names its series.
    pub(super) fn new(
        kind: Kind,
        title: &'static str,
        unit: &'static str,
        expression: &str,
        legend: &'static str,
    ) -> Self {
        let (width, height) = match kind {
            Kind::Stat => (4, 4),
            _ => (12, 8),
        };
        Self {
            kind,
            title,
            description: String::new(),
            unit,
            targets: vec![(expression.to_owned(), legend)],
            steps: vec![(None, "green")],
            width,
            height,
            max: None,
            alerts: Vec::new(),
        }
    }

    /// What it shows, and what to make of it.
    pub(super) fn saying(mut self, description: &str) -> Self {
        description.clone_into(&mut self.description);
        self
    }

    /// A further expression.
    pub(super) fn and(mut self, expression: &str, legend: &'static str) -> Self {
        self.targets.push((expression.to_owned(), legend));
        self
    }

    /// Yellow from `odd` on, and red from `bad` on.
    pub(super) fn limits(mut self, odd: f64, bad: f64) -> Self {
        self.steps = vec![(None, "green"), (Some(odd), "yellow"), (Some(bad), "red")];
        self
    }

    /// Red from this on.
    pub(super) fn bad_from(mut self, bad: f64) -> Self {
        self.steps = vec![(None, "green"), (Some(bad), "red")];
        self
    }

    /// The axis' end.
    pub(super) fn up_to(mut self, max: f64) -> Self {
        self.max = Some(max);
        self
    }

    /// So many of 24 columns.
    pub(super) fn wide(mut self, columns: u32) -> Self {
        self.width = columns;
        self
    }

    /// The alerts over what it shows, whose pages of the runbook it links to.
    pub(super) fn alerts(mut self, alerts: &[&'static str]) -> Self {
        self.alerts = alerts.to_vec();
        self
    }

    /// As Grafana reads it, at its place.
    fn written(&self, id: usize, x: u32, y: u32) -> Value {
        let kind = match self.kind {
            Kind::Series | Kind::Stack => "timeseries",
            Kind::Stat => "stat",
            Kind::Heat => "heatmap",
            Kind::Bars => "bargauge",
        };
        let is_now = matches!(self.kind, Kind::Stat | Kind::Bars);
        let targets = self.targets.iter().enumerate().map(|(index, (expression, legend))| {
            json!({
                "refId": char::from(b'A' + u8::try_from(index).expect("few")).to_string(),
                "datasource": source(),
                "expr": expression,
                "legendFormat": legend,
                "instant": is_now,
                "range": !is_now,
                "format": if matches!(self.kind, Kind::Heat) { "heatmap" } else { "time_series" },
            })
        });
        let steps = self.steps.iter().map(|(from, colour)| json!({"value": from, "color": colour}));
        let links = self.alerts.iter().map(|alert| {
            let page = format!("{RUNBOOKS}{alert}.md");
            json!({"title": format!("Runbook: {alert}"), "url": page, "targetBlank": true})
        });
        json!({
            "id": id,
            "type": kind,
            "title": self.title,
            "description": self.description,
            "datasource": source(),
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "targets": targets.collect::<Vec<_>>(),
            "links": links.collect::<Vec<_>>(),
            "fieldConfig": {
                "defaults": {
                    "unit": self.unit,
                    "min": 0,
                    "max": self.max,
                    "noValue": "none",
                    "thresholds": {"mode": "absolute", "steps": steps.collect::<Vec<_>>()},
                    "color": {"mode": if is_now { "thresholds" } else { "palette-classic" }},
                    "custom": self.drawn(),
                },
                "overrides": self.limits_are_dashed(),
            },
            "options": self.options(),
        })
    }

    /// How lines are drawn.
    fn drawn(&self) -> Value {
        let stacks = matches!(self.kind, Kind::Stack);
        match self.kind {
            Kind::Series | Kind::Stack => json!({
                "drawStyle": "line",
                "lineWidth": 1,
                "fillOpacity": if stacks { 40 } else { 5 },
                "showPoints": "never",
                "stacking": {"mode": if stacks { "normal" } else { "none" }, "group": "A"},
                "thresholdsStyle": {"mode": if self.steps.len() > 1 { "dashed" } else { "off" }},
            }),
            _ => json!({}),
        }
    }

    /// What bounds others is a dashed line, and lies on no stack.
    fn limits_are_dashed(&self) -> Value {
        if !matches!(self.kind, Kind::Series | Kind::Stack) {
            return json!([]);
        }
        json!([{
            "matcher": {"id": "byRegexp", "options": "/(limit|ceiling|budget)$/"},
            "properties": [
                {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [8, 8]}},
                {"id": "custom.fillOpacity", "value": 0},
                {"id": "custom.stacking", "value": {"mode": "none", "group": "B"}},
            ],
        }])
    }

    fn options(&self) -> Value {
        match self.kind {
            Kind::Series | Kind::Stack => json!({
                "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }),
            Kind::Stat => json!({
                "colorMode": "background", "graphMode": "none", "textMode": "auto",
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false},
            }),
            Kind::Heat => json!({
                "calculate": false,
                "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64},
                "yAxis": {"unit": self.unit},
                "cellGap": 1,
                "tooltip": {"mode": "single", "yHistogram": true},
            }),
            Kind::Bars => json!({
                "orientation": "horizontal", "displayMode": "basic", "showUnfilled": true,
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false},
            }),
        }
    }
}

/// The Prometheus that the reader has chosen.
pub(super) fn source() -> Value {
    json!({"type": "prometheus", "uid": "${source}"})
}

/// Puts rows of panels one below the other, each row from left to right.
pub(super) fn laid_out(rows: &[(&str, Vec<Panel>)]) -> Vec<Value> {
    let (mut written, mut y) = (Vec::new(), 0);
    for (title, panels) in rows {
        let place = json!({"x": 0, "y": y, "w": COLUMNS, "h": 1});
        written.push(json!({
            "id": written.len() + 1, "type": "row", "title": title, "collapsed": false, "gridPos": place, "panels": [],
        }));
        y += 1;
        let (mut x, mut height) = (0, 0);
        for panel in panels {
            if x + panel.width > COLUMNS {
                (x, y, height) = (0, y + height, 0);
            }
            written.push(panel.written(written.len() + 1, x, y));
            x += panel.width;
            height = height.max(panel.height);
        }
        y += height;
    }
    written
}
