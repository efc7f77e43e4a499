use chrono::{DateTime, FixedOffset};
use groundwork::apis::configuration::Configuration;
use groundwork::apis::items_api::{
    items_create_item, items_delete_item, items_read_item, items_read_items, items_update_item,
};
use groundwork::apis::login_api::{login_login_access_token, login_refresh_token};
use groundwork::apis::users_api::users_register_user;
use groundwork::apis::Error;
use groundwork::models::{
    HttpError, HttpValidationError, ItemCreate, ItemUpdate, RefreshToken, Token, UserCreate,
    UserPublic, UserRegister, ValidationErrorLocInner,
};
use serde::de::DeserializeOwned;
use std::fmt::Debug;

const PASSWORD: &str = "correct horse battery";

fn seen(step: &str) {
    println!("✓ {step}");
}

fn configuration(token: Option<&Token>) -> Configuration {
    Configuration {
        base_path: std::env::var("BASE_URL").unwrap(),
        oauth_access_token: token.map(|token| token.access_token.clone()),
        ..Configuration::default()
    }
}

async fn sign_up() -> UserPublic {
    let body = UserRegister::new(format!("{}@example.com", uuid::Uuid::new_v4()), PASSWORD.to_owned());
    users_register_user(&configuration(None), body).await.unwrap()
}

async fn sign_in(user: &UserPublic) -> Token {
    let nobody = configuration(None);
    login_login_access_token(&nobody, &user.email, PASSWORD, None, None, None, None, None).await.unwrap()
}

/// The error that a call ends with, as the model that the document says.
fn error_of<M: DeserializeOwned, T: Debug, E: Debug>(status: u16, result: Result<T, Error<E>>) -> M {
    match result {
        Err(Error::ResponseError(response)) if response.status == status => {
            serde_json::from_str(&response.content).unwrap()
        }
        other => panic!("no {status}: {other:?}"),
    }
}

fn titled(title: &str) -> ItemCreate {
    ItemCreate::new(title.to_owned())
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let ada = sign_up().await;
    let created_at: DateTime<FixedOffset> = ada.created_at;
    assert_eq!(ada.full_name, None);
    assert_eq!(created_at.offset().local_minus_utc(), 0);
    seen("sign up");

    let session = sign_in(&ada).await;
    assert_eq!(session.token_type, "bearer");
    assert!(session.expires_in > 0);
    seen("log in with the form");

    let body = RefreshToken::new(session.refresh_token);
    let me = configuration(Some(&login_refresh_token(&configuration(None), body).await.unwrap()));
    seen("refresh");

    let item = items_create_item(&me, titled("Engine"), None).await.unwrap();
    let id = item.id.to_string();
    assert_eq!(item.description, None);
    seen("create");

    let page = items_read_items(&me, None, Some(10), None, None, None).await.unwrap();
    assert_eq!((page.count, page.next_cursor), (1, None));
    assert_eq!(page.data, [item.clone()]);
    let second = items_create_item(&me, titled("Loom"), None).await.unwrap();
    let first = items_read_items(&me, None, Some(1), None, None, None).await.unwrap();
    assert_eq!(first.data, [second]);
    let cursor = first.next_cursor.as_deref();
    let rest = items_read_items(&me, None, Some(1), None, None, cursor).await.unwrap();
    assert_eq!(rest.data, [item.clone()]);
    seen("list");

    let described = |description: Option<&str>| ItemUpdate {
        description: Some(description.map(str::to_owned)),
        ..ItemUpdate::new()
    };
    let updated = items_update_item(&me, &id, described(Some("Brass")), None).await.unwrap();
    assert_eq!((updated.title.as_str(), updated.description.as_deref()), ("Engine", Some("Brass")));
    assert_eq!(items_update_item(&me, &id, described(None), None).await.unwrap(), item);
    seen("update");

    let another = configuration(Some(&sign_in(&sign_up().await).await));
    let forbidden: HttpError = error_of(403, items_read_item(&another, &id, None).await);
    assert_eq!(forbidden.detail, "Not enough permissions");
    assert_eq!(forbidden.code, "not_enough_permissions");
    seen("read a 403");

    let invalid: HttpValidationError = error_of(422, items_create_item(&me, titled(""), None).await);
    assert_eq!(invalid.code, "validation_error");
    let fault = &invalid.detail[0];
    let loc = ["body", "title"].map(|part| ValidationErrorLocInner::String(part.to_owned()));
    assert_eq!((fault.loc.as_slice(), fault.r#type.as_str()), (loc.as_slice(), "string_too_short"));
    seen("read a 422");

    let deleted = items_delete_item(&me, &id, None).await.unwrap();
    assert_eq!(deleted.message, "Item deleted successfully");
    seen("delete");

    let missing: HttpError = error_of(404, items_read_item(&me, &id, None).await);
    assert_eq!(missing.detail, "Item not found");
    seen("read a 404");

    // What may be left out is left out.
    let account = UserCreate::new("grace@example.com".to_owned(), PASSWORD.to_owned());
    assert_eq!((account.is_active, account.full_name), (None, None));
}
