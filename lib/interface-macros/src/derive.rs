//! `#[derive(Wire)]`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Error, Fields, Result};

/// Puts and takes the fields in their order; an enum is led by its variant's index.
pub fn expand(item: &DeriveInput) -> Result<TokenStream> {
    if !item.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &item.generics,
            "a type that travels in messages cannot be generic: name its types",
        ));
    }
    let name = &item.ident;
    let (put, take) = match &item.data {
        Data::Struct(data) => {
            let (pattern, put, take) = fields(&data.fields, quote!(Self));
            (quote! { let #pattern = self; #put }, quote! { Ok(#take) })
        }
        Data::Enum(data) => {
            let (mut puts, mut takes) = (Vec::new(), Vec::new());
            for (index, variant) in data.variants.iter().enumerate() {
                let (index, ident) = (index as u64, &variant.ident);
                let (pattern, put, take) = fields(&variant.fields, quote!(Self::#ident));
                puts.push(quote! { #pattern => { writer.word(#index); #put } });
                takes.push(quote! { #index => Ok(#take), });
            }
            (
                quote! { match self { #(#puts)* } },
                quote! { match reader.word()? { #(#takes)* _ => Err(::motte_interfaces::WireError::UnknownVariant) } },
            )
        }
        Data::Union(_) => {
            return Err(Error::new_spanned(name, "a union cannot travel in messages: use an enum"));
        }
    };
    Ok(quote! {
        impl ::motte_interfaces::Wire for #name {
            fn put(&self, writer: &mut ::motte_interfaces::Writer<'_>) { #put }
            fn take(reader: &mut ::motte_interfaces::Reader<'_>) -> ::core::result::Result<Self, ::motte_interfaces::WireError> { #take }
        }
    })
}

/// The pattern that binds all fields, the statements that put them, the expression that takes them.
fn fields(fields: &Fields, path: TokenStream) -> (TokenStream, TokenStream, TokenStream) {
    let wire = quote!(::motte_interfaces::Wire);
    match fields {
        Fields::Named(named) => {
            let names: Vec<_> = named.named.iter().map(|f| f.ident.clone()).collect();
            (
                quote! { #path { #(#names),* } },
                quote! { #(#wire::put(#names, writer);)* },
                quote! { #path { #(#names: #wire::take(reader)?),* } },
            )
        }
        Fields::Unnamed(unnamed) => {
            let names: Vec<_> = (0..unnamed.unnamed.len()).map(|i| format_ident!("field{i}")).collect();
            let takes = names.iter().map(|_| quote!(#wire::take(reader)?));
            (
                quote! { #path ( #(#names),* ) },
                quote! { #(#wire::put(#names, writer);)* },
                quote! { #path ( #(#takes),* ) },
            )
        }
        Fields::Unit => (path.clone(), quote!(), path),
    }
}
