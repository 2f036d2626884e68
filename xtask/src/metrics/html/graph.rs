//! The layout of a project's lineage graph: a place for each model.
//!
//! Layers go from left to right. A layer whose models depend on each other takes a column for each step, so
//! every edge leads to the right. Within a column a model is placed near the middle of its parents, which
//! keeps edges short and mostly uncrossed; names break ties, so the same project always gives the same
//! picture.

use std::collections::HashMap;

/// A model to draw: its layer, and the positions of its parents in the same list.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Vertex {
    pub(super) layer: usize,
    pub(super) parents: Vec<usize>,
}

/// A place in the picture: column from the left, row from the top.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) column: usize,
    pub(super) row: usize,
}

/// The picture: a place for each vertex, and the first column of each layer that has any.
#[derive(Debug, PartialEq)]
pub(super) struct Layout {
    pub(super) places: Vec<Place>,
    pub(super) layers: Vec<(usize, usize)>,
    pub(super) columns: usize,
    pub(super) rows: usize,
}

/// How often columns are put in order again, there and back.
const SWEEPS: usize = 4;

pub(super) fn layout(vertices: &[Vertex]) -> Layout {
    let depths = depths(vertices);
    let mut columns: Vec<(usize, usize)> =
        vertices.iter().zip(&depths).map(|(v, depth)| (v.layer, *depth)).collect();
    columns.sort_unstable();
    columns.dedup();
    let index: HashMap<(usize, usize), usize> =
        columns.iter().enumerate().map(|(i, key)| (*key, i)).collect();

    let mut stacks: Vec<Vec<usize>> = vec![Vec::new(); columns.len()];
    for (i, vertex) in vertices.iter().enumerate() {
        stacks[index[&(vertex.layer, depths[i])]].push(i);
    }
    order(&mut stacks, vertices);

    let mut places = vec![Place::default(); vertices.len()];
    for (column, stack) in stacks.iter().enumerate() {
        for (row, i) in stack.iter().enumerate() {
            places[*i] = Place { column, row };
        }
    }
    let mut layers: Vec<(usize, usize)> = Vec::new();
    for (column, (layer, _)) in columns.iter().enumerate() {
        if layers.last().is_none_or(|(known, _)| known != layer) {
            layers.push((*layer, column));
        }
    }
    Layout { places, layers, columns: columns.len(), rows: stacks.iter().map(Vec::len).max().unwrap_or(0) }
}

/// The number of steps between a vertex and the first one of the same layer. A project has no cycles; for a
/// file that has one this ends after as many rounds as there are vertices.
fn depths(vertices: &[Vertex]) -> Vec<usize> {
    let mut depths = vec![0; vertices.len()];
    for _ in 0..vertices.len() {
        let mut changed = false;
        for (i, vertex) in vertices.iter().enumerate() {
            let own = vertex.parents.iter().filter(|p| **p != i && vertices[**p].layer == vertex.layer);
            let depth = own.map(|p| depths[*p] + 1).max().unwrap_or(0).min(vertices.len());
            if depth > depths[i] {
                depths[i] = depth;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    depths
}

/// Put each column in the order of the mean place of its neighbours, from the left and from the right.
fn order(stacks: &mut [Vec<usize>], vertices: &[Vertex]) {
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); vertices.len()];
    for (i, vertex) in vertices.iter().enumerate() {
        for parent in &vertex.parents {
            children[*parent].push(i);
        }
    }
    // Places as shares of a column, since columns differ in height.
    let mut at = vec![0.0; vertices.len()];
    let note = |stack: &[usize], at: &mut Vec<f64>| {
        for (row, i) in stack.iter().enumerate() {
            at[*i] = (super::grid::many(row) + 0.5) / super::grid::many(stack.len());
        }
    };
    for stack in stacks.iter() {
        note(stack, &mut at);
    }
    for sweep in 0..SWEEPS {
        let forth = sweep.is_multiple_of(2);
        let turns: Vec<usize> =
            if forth { (0..stacks.len()).collect() } else { (0..stacks.len()).rev().collect() };
        for turn in turns {
            let stack = &mut stacks[turn];
            let middle = |i: usize| {
                let near = if forth { &vertices[i].parents } else { &children[i] };
                let sum: f64 = near.iter().map(|other| at[*other]).sum();
                if near.is_empty() { at[i] } else { sum / super::grid::many(near.len()) }
            };
            let mut keyed: Vec<(f64, usize)> = stack.iter().map(|i| (middle(*i), *i)).collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            *stack = keyed.into_iter().map(|(_, i)| i).collect();
            note(stack, &mut at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vertex(layer: usize, parents: &[usize]) -> Vertex {
        Vertex { layer, parents: parents.to_vec() }
    }

    #[test]
    fn every_edge_leads_to_the_right() {
        // Two bronze, two silver of which one depends on the other, one gold.
        let vertices =
            [vertex(0, &[]), vertex(0, &[]), vertex(1, &[0]), vertex(1, &[1, 2]), vertex(2, &[3, 0])];
        let layout = layout(&vertices);
        for (i, vertex) in vertices.iter().enumerate() {
            for parent in &vertex.parents {
                assert!(layout.places[*parent].column < layout.places[i].column, "{parent} -> {i}");
            }
        }
        assert_eq!(layout.layers, [(0, 0), (1, 1), (2, 3)]);
        assert_eq!((layout.columns, layout.rows), (4, 2));
    }

    #[test]
    fn lines_that_need_not_cross_do_not() {
        let vertices = [vertex(0, &[]), vertex(0, &[]), vertex(1, &[1]), vertex(1, &[0])];
        let places = layout(&vertices).places;
        assert_eq!(places[0].row < places[1].row, places[3].row < places[2].row);
    }

    #[test]
    fn empty_and_cyclic_graphs_have_a_layout() {
        assert_eq!(layout(&[]).columns, 0);
        assert_eq!(layout(&[vertex(0, &[1]), vertex(0, &[0]), vertex(0, &[2])]).places.len(), 3);
    }
}
