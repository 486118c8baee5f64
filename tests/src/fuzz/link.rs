//! The codec of the link: what decodes encodes to the same message, and nothing panics.

use bytes::BytesMut;
use proto::{
    frame,
    message::{Command, Hello, Report},
};
use serde::{Serialize, de::DeserializeOwned};

pub fn check(data: &[u8]) {
    messages::<Hello>(data);
    messages::<Command>(data);
    messages::<Report>(data);
}

fn messages<T: Serialize + DeserializeOwned>(data: &[u8]) {
    let mut buffer = BytesMut::from(data);
    while let Ok(Some(message)) = frame::decode::<T>(&mut buffer) {
        // By bytes: a NaN is not equal to itself.
        let Ok(once) = frame::encode(&message) else { continue };
        let again = frame::decode::<T>(&mut BytesMut::from(&once[..])).ok().flatten();
        let again = again.and_then(|message| frame::encode(&message).ok());
        assert_eq!(again.as_ref(), Some(&once));
    }
}
