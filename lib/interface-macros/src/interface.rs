//! `#[interface]`: reads the trait, says clearly what it cannot take, and writes stub and dispatch.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::{
    Attribute, Error, FnArg, GenericArgument, Ident, ItemTrait, LitInt, LitStr, Pat, PathArguments, Result, ReturnType,
    Token, TraitItem, Type,
};

/// The most methods an interface may have: their numbers must stay below the labels of faults.
const MAX_METHODS: usize = 1000;

/// What the attribute says: `"name"`, or `"name", base = N`, the number of the first method (so that one endpoint can serve
/// two interfaces).
pub struct Header {
    name: LitStr,
    base: u64,
}

impl Parse for Header {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let name =
            input.parse().map_err(|error| Error::new(error.span(), "an interface is named: #[interface(\"name\")]"))?;
        let mut base = 0;
        if input.parse::<Option<Token![,]>>()?.is_some() {
            let key: Ident = input.parse()?;
            if key != "base" {
                return Err(Error::new_spanned(key, "an interface takes its name and `base = N`, nothing else"));
            }
            input.parse::<Token![=]>()?;
            base = input.parse::<LitInt>()?.base10_parse()?;
        }
        Ok(Self { name, base })
    }
}

/// What the trait says of one method.
struct Method {
    name: Ident,
    docs: Vec<Attribute>,
    arguments: Vec<Argument>,
    success: Type,
    error: Type,
    /// Repeating it after a server's restart is harmless.
    idempotent: bool,
    /// The request carries a number, which a repetition carries too.
    numbered: bool,
    /// The server answers later, through a `Responder`.
    deferred: bool,
}

struct Argument {
    name: Ident,
    /// As the client passes it.
    given: Type,
    /// As the server gets it.
    received: Type,
    form: Form,
}

/// How an argument travels.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As a value, which the server gets a copy of.
    Value,
    /// As text, which the server reads in the message.
    Text,
    /// As bytes, eight to a word, which the server reads in the message.
    Bytes,
}

/// The whole expansion.
pub fn expand(header: &Header, item: &ItemTrait) -> Result<TokenStream> {
    if !item.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &item.generics,
            "an interface cannot be generic: both sides must agree on its types",
        ));
    }
    let mut methods = Vec::new();
    for entry in &item.items {
        match entry {
            TraitItem::Fn(function) => methods.push(read_method(function)?),
            other => return Err(Error::new_spanned(other, "an interface holds methods only")),
        }
    }
    if methods.len() > MAX_METHODS {
        return Err(Error::new_spanned(&item.ident, format!("an interface has at most {MAX_METHODS} methods")));
    }
    let (server, client) = (server(header, item, &methods), client(header, item, &methods));
    Ok(quote! { #server #client })
}

fn read_method(function: &syn::TraitItemFn) -> Result<Method> {
    let signature = &function.sig;
    if let Some(asyncness) = &signature.asyncness {
        return Err(Error::new_spanned(
            asyncness,
            "interface methods are not async: mark one that answers later with #[deferred]",
        ));
    }
    if !signature.generics.params.is_empty() {
        return Err(Error::new_spanned(&signature.generics, "an interface method cannot be generic"));
    }
    if let Some(body) = &function.default {
        return Err(Error::new_spanned(body, "an interface method has no body: the server gives it one"));
    }
    let mut inputs = signature.inputs.iter();
    match inputs.next() {
        Some(FnArg::Receiver(receiver)) if receiver.reference.is_some() && receiver.mutability.is_none() => {}
        _ => return Err(Error::new_spanned(&signature.ident, "an interface method begins with `&self`")),
    }
    let arguments = inputs.map(read_argument).collect::<Result<Vec<_>>>()?;
    let (success, error) = read_result(&signature.output, &signature.ident)?;
    let (mut docs, mut idempotent, mut numbered, mut deferred) = (Vec::new(), false, false, false);
    for attribute in &function.attrs {
        match attribute.path().get_ident().map(Ident::to_string).as_deref() {
            Some("idempotent") => idempotent = true,
            Some("numbered") => numbered = true,
            Some("deferred") => deferred = true,
            Some("doc") => docs.push(attribute.clone()),
            _ => {
                return Err(Error::new_spanned(
                    attribute,
                    "an interface method takes #[idempotent], #[numbered], #[deferred] and documentation, nothing else",
                ));
            }
        }
    }
    Ok(Method { name: signature.ident.clone(), docs, arguments, success, error, idempotent, numbered, deferred })
}

fn read_argument(input: &FnArg) -> Result<Argument> {
    let FnArg::Typed(typed) = input else {
        return Err(Error::new_spanned(input, "`&self` stands first"));
    };
    let Pat::Ident(pattern) = &*typed.pat else {
        return Err(Error::new_spanned(&typed.pat, "an argument of an interface method is a plain name"));
    };
    let mut form = Form::Value;
    let received = match &*typed.ty {
        Type::Reference(reference) => {
            if let Some(mutability) = &reference.mutability {
                return Err(Error::new_spanned(
                    mutability,
                    "a message goes one way: return the value instead of taking `&mut` (bulk data: share a frame)",
                ));
            }
            match &*reference.elem {
                Type::Path(path) if path.path.is_ident("str") => {
                    form = Form::Text;
                    syn::parse_quote!(&str)
                }
                Type::Slice(slice) => match &*slice.elem {
                    Type::Path(path) if path.path.is_ident("u8") => {
                        form = Form::Bytes;
                        syn::parse_quote!(&[u8])
                    }
                    element => syn::parse_quote!(::motte_interfaces::__alloc::vec::Vec<#element>),
                },
                other => other.clone(),
            }
        }
        other => other.clone(),
    };
    Ok(Argument { name: pattern.ident.clone(), given: (*typed.ty).clone(), received, form })
}

fn read_result(output: &ReturnType, at: &Ident) -> Result<(Type, Type)> {
    let wrong = || {
        Error::new_spanned(
            at,
            "an interface method returns `Result<T, E>`: any call may fail because the server is gone",
        )
    };
    let ReturnType::Type(_, ty) = output else { return Err(wrong()) };
    let Type::Path(path) = &**ty else { return Err(wrong()) };
    let last = path.path.segments.last().ok_or_else(wrong)?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return Err(wrong()) };
    let types: Vec<_> = arguments
        .args
        .iter()
        .filter_map(|argument| match argument {
            GenericArgument::Type(ty) => Some(ty.clone()),
            _ => None,
        })
        .collect();
    match (last.ident == "Result", types.as_slice()) {
        (true, [success, error]) => Ok((success.clone(), error.clone())),
        _ => Err(wrong()),
    }
}

fn server(header: &Header, item: &ItemTrait, methods: &[Method]) -> TokenStream {
    let (name, visibility, attributes) = (&item.ident, &item.vis, &item.attrs);
    let dispatch = format_ident!("dispatch_{}", snake(&name.to_string()));
    let declarations = methods.iter().map(|method| {
        let Method { name, docs, arguments, success, error, .. } = method;
        let arguments = arguments.iter().map(|Argument { name, received, .. }| quote!(#name: #received));
        if method.deferred {
            quote! { #(#docs)* fn #name(&mut self, sender: &::motte_interfaces::Sender, #(#arguments,)* responder: ::motte_interfaces::Responder<#success, #error>); }
        } else {
            quote! { #(#docs)* fn #name(&mut self, sender: &::motte_interfaces::Sender, #(#arguments),*) -> ::core::result::Result<#success, #error>; }
        }
    });
    let arms = methods.iter().enumerate().map(|(label, method)| {
        let (label, name) = (header.base + label as u64, &method.name);
        let names: Vec<_> = method.arguments.iter().map(|a| &a.name).collect();
        let takes = method.arguments.iter().map(|Argument { name, received, form, .. }| {
            let take = match form {
                Form::Value => quote!(<#received as ::motte_interfaces::Wire>::take(request)),
                Form::Text => quote!(request.text()),
                Form::Bytes => quote!(request.bytes()),
            };
            quote! { let ::core::result::Result::Ok(#name) = #take else { return ::motte_interfaces::Outcome::Malformed; }; }
        });
        let act = if method.deferred {
            quote! {
                let token = defer();
                server.#name(sender, #(#names,)* ::motte_interfaces::Responder::new(token));
                ::motte_interfaces::Outcome::Deferred
            }
        } else {
            quote! {
                let answer = server.#name(sender, #(#names),*);
                ::motte_interfaces::put_answer(&answer, reply)
            }
        };
        let number = method.numbered.then(|| {
            quote! { let ::core::result::Result::Ok(_) = <u64 as ::motte_interfaces::Wire>::take(request) else { return ::motte_interfaces::Outcome::Malformed; }; }
        });
        quote! { #label => { #number #(#takes)* #act } }
    });
    let numbered = methods.iter().enumerate().filter(|(_, method)| method.numbered);
    let numbered: Vec<_> = numbered.map(|(label, _)| header.base + label as u64).collect();
    let number = (!numbered.is_empty()).then(|| {
        let name = format_ident!("number_{}", snake(&name.to_string()));
        quote! {
            /// The number of a request that carries one, before it is taken apart: the same in every repetition of it.
            #[inline]
            #visibility fn #name(label: u64, request: &::motte_interfaces::Reader<'_>) -> ::core::option::Option<u64> {
                match label {
                    #(#numbered)|* => request.peek(),
                    _ => ::core::option::Option::None,
                }
            }
        }
    });
    quote! {
        #(#attributes)*
        #visibility trait #name { #(#declarations)* }

        #number

        /// Takes a request apart, has the server do it, and puts the answer into `reply`. `defer` is asked for a token when the
        /// method answers later.
        #visibility fn #dispatch<S: #name + ?Sized>(
            server: &mut S,
            sender: &::motte_interfaces::Sender,
            label: u64,
            request: &mut ::motte_interfaces::Reader<'_>,
            reply: &mut ::motte_interfaces::Writer<'_>,
            defer: &mut dyn ::core::ops::FnMut() -> ::motte_interfaces::ReplyToken,
        ) -> ::motte_interfaces::Outcome {
            let _ = (&server, &sender, &request, &reply, &defer);
            match label {
                #(#arms)*
                _ => ::motte_interfaces::Outcome::UnknownMethod,
            }
        }
    }
}

fn client(header: &Header, item: &ItemTrait, methods: &[Method]) -> TokenStream {
    let (visibility, interface) = (&item.vis, &header.name);
    let client = format_ident!("{}Client", item.ident);
    let functions = methods.iter().enumerate().map(|(label, method)| {
        let Method { name, docs, arguments, success, error, idempotent, numbered, deferred } = method;
        let take_number = numbered.then(|| quote! { let number = self.transport.number(); });
        let put_number = numbered.then(|| quote! { ::motte_interfaces::Wire::put(&number, writer); });
        let (label, text) = (header.base + label as u64, name.to_string());
        let parameters = arguments.iter().map(|Argument { name, given, .. }| quote!(#name: #given));
        let puts = arguments.iter().map(|Argument { name, given, form, .. }| match given {
            _ if *form == Form::Bytes => quote! { writer.bytes(#name); },
            Type::Reference(_) => quote! { ::motte_interfaces::Put::put(#name, writer); },
            _ => quote! { ::motte_interfaces::Wire::put(&#name, writer); },
        });
        quote! {
            #(#docs)*
            #[inline]
            pub fn #name(&self, #(#parameters),*) -> ::core::result::Result<#success, #error> {
                const METHOD: ::motte_interfaces::Method = ::motte_interfaces::Method {
                    label: #label, interface: #interface, name: #text, idempotent: #idempotent, numbered: #numbered, deferred: #deferred,
                };
                #take_number
                ::motte_interfaces::call(&self.transport, &METHOD, |writer| { let _ = &writer; #put_number #(#puts)* })
            }
        }
    });
    let doc = format!("Calls the `{}` service. Made from a connection to it.", interface.value());
    let signature = methods.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, method| {
        let types = method.arguments.iter().map(|a| &a.received).chain([&method.success, &method.error]);
        let text = types.fold(method.name.to_string(), |text, ty| format!("{text} {}", quote!(#ty)));
        text.bytes().fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    });
    quote! {
        #[doc = #doc]
        #[derive(Clone, Debug)]
        #visibility struct #client<T> { transport: T }

        impl<T: ::motte_interfaces::Transport> #client<T> {
            /// The name under which the service is found.
            pub const INTERFACE: &'static str = #interface;
            /// Changes whenever a method's name or types change (FNV-1a of all signatures).
            pub const SIGNATURE: u64 = #signature;

            /// A client that sends through `transport`.
            pub const fn new(transport: T) -> Self { Self { transport } }

            /// What it sends through.
            pub const fn transport(&self) -> &T { &self.transport }

            #(#functions)*
        }
    }
}

fn snake(name: &str) -> String {
    let mut out = String::new();
    for (index, letter) in name.chars().enumerate() {
        if letter.is_uppercase() && index > 0 {
            out.push('_');
        }
        out.extend(letter.to_lowercase());
    }
    out
}
