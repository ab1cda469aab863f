//! Where boxes and arrows go: a layered layout, clients above the services they call.
//!
//! The usual four steps (Sugiyama, Tagawa, Toda 1981): a layer for each node, with a *bend* in every
//! layer that an edge only passes; an order within each layer by the mean place of the neighbours; places
//! as near to the neighbours' mean as the widths allow; and the edges as lists of points.

/// Space between two neighbours in a layer.
const GAP: f64 = 34.0;
/// Width of a bend: the room an arrow gets between two boxes.
const BEND: f64 = 14.0;
/// How often orders and places are improved.
const ROUNDS: usize = 24;

/// A finished layout. Coordinates of nodes are their centres.
pub(super) struct Layout {
    /// The layer of each node, 0 at the top.
    pub layer: Vec<usize>,
    /// The horizontal centre of each node; the leftmost edge of all is 0.
    pub x: Vec<f64>,
    /// For each edge the horizontal places of its bends, from the layer below its start downwards.
    pub bends: Vec<Vec<f64>>,
    /// The width of the whole.
    pub width: f64,
}

/// Lays out nodes of the given widths; `edges` go from client to server. Edges that close a circle are
/// drawn against the others' direction and get no bends.
pub(super) fn layout(widths: &[f64], edges: &[(usize, usize)]) -> Layout {
    let count = widths.len();
    let layer = layers(count, edges);
    let mut graph = Graph { layer: layer.clone(), width: widths.to_vec(), rows: Vec::new(), links: Vec::new() };
    let mut bends_of = Vec::with_capacity(edges.len());
    for &(from, to) in edges {
        let mut bends = Vec::new();
        let mut last = from;
        for row in layer[from] + 1..layer[to] {
            let bend = graph.layer.len();
            graph.layer.push(row);
            graph.width.push(BEND);
            graph.links.push((last, bend));
            bends.push(bend);
            last = bend;
        }
        if layer[from] < layer[to] {
            graph.links.push((last, to));
        }
        bends_of.push(bends);
    }
    let x = graph.place();
    let left = (0..x.len()).map(|n| x[n] - graph.width[n] / 2.0).fold(f64::INFINITY, f64::min);
    let right = (0..x.len()).map(|n| x[n] + graph.width[n] / 2.0).fold(f64::NEG_INFINITY, f64::max);
    Layout {
        x: x[..count].iter().map(|x| x - left).collect(),
        bends: bends_of.iter().map(|bends| bends.iter().map(|&bend| x[bend] - left).collect()).collect(),
        layer,
        width: if count == 0 { 0.0 } else { right - left },
    }
}

/// Each client above what it calls, and each node no higher than that asks for. What is alone goes to
/// the top.
fn layers(count: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    fn height(node: usize, edges: &[(usize, usize)], state: &mut [Option<Option<usize>>]) -> Option<usize> {
        match state[node] {
            Some(known) => known,
            None => {
                state[node] = Some(None);
                let below = edges.iter().filter(|&&(from, to)| from == node && to != node);
                let height = below.filter_map(|&(_, to)| height(to, edges, state)).map(|h| h + 1).max().unwrap_or(0);
                state[node] = Some(Some(height));
                Some(height)
            }
        }
    }
    let mut state = vec![None; count];
    let heights: Vec<usize> = (0..count).map(|node| height(node, edges, &mut state).unwrap_or(0)).collect();
    let top = heights.iter().copied().max().unwrap_or(0);
    let mut layer: Vec<usize> = heights.iter().map(|height| top - height).collect();
    // A server sinks no deeper than just below its lowest client: shorter arrows.
    let mut by_layer: Vec<usize> = (0..count).collect();
    by_layer.sort_by_key(|&node| layer[node]);
    for node in by_layer {
        let clients = edges.iter().filter(|&&(from, to)| to == node && layer[from] < layer[node]);
        if let Some(lowest) = clients.map(|&(from, _)| layer[from]).max() {
            layer[node] = lowest + 1;
        } else if !edges.iter().any(|&(from, to)| from == node || to == node) {
            layer[node] = 0;
        }
    }
    layer
}

/// The nodes and the bends, numbered through.
struct Graph {
    layer: Vec<usize>,
    width: Vec<f64>,
    rows: Vec<Vec<usize>>,
    /// Between neighbouring layers only, downwards.
    links: Vec<(usize, usize)>,
}

impl Graph {
    fn place(&mut self) -> Vec<f64> {
        let nodes = self.layer.len();
        let depth = self.layer.iter().max().map_or(0, |deepest| deepest + 1);
        self.rows = (0..depth).map(|row| (0..nodes).filter(|&n| self.layer[n] == row).collect()).collect();
        let mut neighbours = vec![(Vec::new(), Vec::new()); nodes];
        for &(above, below) in &self.links {
            neighbours[below].0.push(above);
            neighbours[above].1.push(below);
        }
        let mean = |x: &[f64], of: &[usize]| of.iter().map(|&n| x[n]).sum::<f64>() / of.len() as f64;
        // The order: positions in the row stand for places; the best order seen is kept.
        let mut x = vec![0.0; nodes];
        let spread = |row: &[usize], x: &mut [f64]| {
            for (position, &node) in row.iter().enumerate() {
                x[node] = (position as f64 + 0.5) / row.len() as f64;
            }
        };
        self.rows.iter().for_each(|row| spread(row, &mut x));
        let mut best = (self.crossings(&x), self.rows.clone());
        for round in 0..ROUNDS {
            let downwards = round % 2 == 0;
            for step in 0..depth {
                let row = if downwards { step } else { depth - 1 - step };
                let mut order: Vec<(f64, usize)> = self.rows[row]
                    .iter()
                    .map(|&node| {
                        let of = if downwards { &neighbours[node].0 } else { &neighbours[node].1 };
                        (if of.is_empty() { x[node] } else { mean(&x, of) }, node)
                    })
                    .collect();
                order.sort_by(|a, b| a.0.total_cmp(&b.0));
                self.rows[row] = order.into_iter().map(|(_, node)| node).collect();
                spread(&self.rows[row], &mut x);
            }
            let crossings = self.crossings(&x);
            if crossings < best.0 {
                best = (crossings, self.rows.clone());
            }
        }
        self.rows = best.1;
        // The places: as near to the neighbours as the widths allow.
        for row in &self.rows {
            let wanted = vec![0.0; row.len()];
            self.settle(row, &wanted, &mut x);
        }
        for round in 0..ROUNDS {
            for step in 0..depth {
                let row = &self.rows[if round % 2 == 0 { step } else { depth - 1 - step }];
                let wanted: Vec<f64> = row
                    .iter()
                    .map(|&node| {
                        let (above, below) = &neighbours[node];
                        let all: Vec<usize> = above.iter().chain(below).copied().collect();
                        if all.is_empty() { x[node] } else { mean(&x, &all) }
                    })
                    .collect();
                self.settle(row, &wanted, &mut x);
            }
        }
        x
    }

    /// Places a row's nodes in their order without overlap, with the least squares of distance from
    /// where they want to be (pool adjacent violators).
    fn settle(&self, row: &[usize], wanted: &[f64], x: &mut [f64]) {
        let mut offset = 0.0;
        let mut offsets = Vec::with_capacity(row.len());
        for (position, &node) in row.iter().enumerate() {
            if position > 0 {
                offset += (self.width[row[position - 1]] + self.width[node]) / 2.0 + GAP;
            }
            offsets.push(offset);
        }
        let mut pools: Vec<(f64, usize)> = Vec::new();
        for (want, offset) in wanted.iter().zip(&offsets) {
            let mut pool = (want - offset, 1);
            while let Some(&(before, size)) = pools.last().filter(|(before, _)| *before > pool.0) {
                pool = ((before * size as f64 + pool.0 * pool.1 as f64) / (size + pool.1) as f64, size + pool.1);
                pools.pop();
            }
            pools.push(pool);
        }
        let places = pools.iter().flat_map(|&(place, size)| std::iter::repeat_n(place, size));
        for ((&node, offset), place) in row.iter().zip(&offsets).zip(places) {
            x[node] = place + offset;
        }
    }

    fn crossings(&self, x: &[f64]) -> usize {
        let crosses = |a: &(usize, usize), b: &(usize, usize)| {
            self.layer[a.0] == self.layer[b.0] && (x[a.0] - x[b.0]) * (x[a.1] - x[b.1]) < 0.0
        };
        self.links
            .iter()
            .enumerate()
            .map(|(index, a)| self.links[..index].iter().filter(|b| crosses(a, b)).count())
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_stand_above_servers_and_nothing_overlaps() {
        let widths = [180.0; 6];
        let laid = layout(&widths, &[(0, 1), (0, 2), (1, 3), (2, 3), (0, 3), (4, 3)]);
        assert!(laid.layer[0] < laid.layer[1] && laid.layer[1] < laid.layer[3]);
        assert_eq!(laid.bends[4].len(), laid.layer[3] - laid.layer[0] - 1);
        for a in 0..6 {
            for b in 0..a {
                assert!(laid.layer[a] != laid.layer[b] || (laid.x[a] - laid.x[b]).abs() >= 180.0);
            }
            assert!(laid.x[a] >= 89.9 && laid.x[a] <= laid.width - 89.9);
        }
    }

    #[test]
    fn circles_and_emptiness_are_laid_out_too() {
        let laid = layout(&[10.0, 10.0], &[(0, 1), (1, 0), (0, 0)]);
        assert_ne!(laid.layer[0], laid.layer[1]);
        assert_eq!(layout(&[], &[]).width, 0.0);
    }
}
