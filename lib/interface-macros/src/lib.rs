//! The generator behind service interfaces: `#[interface]` turns a Rust trait into a client stub and a server
//! dispatch function, `#[derive(Wire)]` makes a type fit to travel in a message.
//!
//! Use them through `motte-interfaces`, whose documentation explains what is generated.
#![deny(unsafe_code)]

mod derive;
mod interface;

use proc_macro::TokenStream;

/// Generates client stub and server dispatch for a service trait.
#[proc_macro_attribute]
pub fn interface(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let header = syn::parse_macro_input!(arguments as interface::Header);
    let item = syn::parse_macro_input!(item as syn::ItemTrait);
    interface::expand(&header, &item).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Implements `Wire` for a struct (field after field) or an enum (a number, then the fields of the variant).
#[proc_macro_derive(Wire)]
pub fn derive_wire(item: TokenStream) -> TokenStream {
    let item = syn::parse_macro_input!(item as syn::DeriveInput);
    derive::expand(&item).unwrap_or_else(syn::Error::into_compile_error).into()
}
