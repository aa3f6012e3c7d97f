//! Lists in which each value stands once.

/// Adds the values that the list does not have yet, in their order.
pub fn add_new<T: PartialEq>(list: &mut Vec<T>, values: impl IntoIterator<Item = T>) {
    for value in values {
        if !list.contains(&value) {
            list.push(value);
        }
    }
}

/// The values, each once, in the order in which they come first.
pub fn each_once<T: PartialEq>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut list = Vec::new();
    add_new(&mut list, values);
    list
}
