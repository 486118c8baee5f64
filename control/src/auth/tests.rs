use super::*;
use crate::{config::Config, store::Store};

fn auth(folder: &std::path::Path) -> Auth {
    let mut config = Config::of(crate::config::defaults("/home/x")).unwrap();
    config.auth.bcrypt_cost = 4;
    let store = Store::open(folder).unwrap();
    Auth::open(Live::fixed(config), store.users()).unwrap()
}

fn password(user: &str, password: &str) -> Credential {
    Credential::Password { user: user.to_owned(), password: password.to_owned() }
}

#[test]
fn users_have_their_permissions_and_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    {
        let auth = auth(folder.path());
        assert!(auth.needs_admin());
        auth.create("root", "secret", UserType::Admin, Vec::new()).unwrap();
        auth.create("w@x", "writes", UserType::Normal, vec![Permission::WritePoints]).unwrap();
        assert!(matches!(auth.create("root", "x", UserType::Normal, Vec::new()), Err(UserError::Exists)));
        assert!(auth.create("a b", "x", UserType::Normal, Vec::new()).is_err());
        assert!(auth.create("a", "", UserType::Normal, Vec::new()).is_err());
    }
    let auth = auth(folder.path());
    assert!(!auth.needs_admin());
    let writer = auth.authenticate(&password("w@x", "writes")).unwrap();
    assert!(writer.may(Action::Write) && writer.may(Action::Ping) && !writer.may(Action::Api));
    assert!(auth.authenticate(&password("root", "secret")).unwrap().may(Action::Users));
    for wrong in [password("root", "x"), password("nobody", "secret"), Credential::Subscription("x".into())] {
        assert!(auth.authenticate(&wrong).is_err());
    }
    let token = auth.subscription_token().to_owned();
    let subscriber = auth.authenticate(&Credential::Subscription(token)).unwrap();
    assert!(subscriber.may(Action::Write) && !subscriber.may(Action::Api));
}

#[test]
fn a_change_counts_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let auth = auth(folder.path());
    auth.create("bob", "old", UserType::Normal, vec![Permission::Api]).unwrap();
    let generation = auth.generation();
    assert!(auth.authenticate(&password("bob", "old")).is_ok());
    auth.change("bob", Some("new"), None, None).unwrap();
    assert!(auth.generation() > generation);
    assert!(auth.authenticate(&password("bob", "old")).is_err());
    assert!(auth.authenticate(&password("bob", "new")).unwrap().may(Action::Api));
    auth.change("bob", None, None, Some(Vec::new())).unwrap();
    assert!(!auth.authenticate(&password("bob", "new")).unwrap().may(Action::Api));
    auth.delete("bob").unwrap();
    auth.delete("bob").unwrap();
    assert!(auth.authenticate(&password("bob", "new")).is_err());
    assert!(matches!(auth.change("bob", None, None, None), Err(UserError::Unknown(_))));
}
