use crate::events::{lake_in, session, small};
#[tokio::test]
async fn scratch() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(folder.path()).await;
    small(&lake).await;
    let session = session(&lake).await;
    for sql in [
        "SELECT count(*) FROM api_activity a JOIN api_activity b USING (metadata.uid) WHERE metadata.uid <> 'e1'",
        "SELECT count(*) FROM api_activity a JOIN api_activity b USING (\"metadata.uid\") WHERE \"metadata.uid\" <> 'e1'",
        "SELECT count(*) FROM api_activity a JOIN api_activity b USING (class_uid) WHERE class_uid <> 1",
        "SELECT count(*) FROM api_activity a JOIN authentication b USING (class_uid) WHERE class_uid <> 1",
        "SELECT count(*) FROM api_activity a JOIN authentication b USING (metadata.uid) WHERE metadata.uid <> 'e1'",
        "SELECT count(*) FROM api_activity a JOIN authentication b USING (metadata.uid) WHERE json_get(metadata.uid, 'x') <> 'e1' OR true",
        "SELECT metadata.uid FROM api_activity a JOIN authentication b USING (metadata.uid) ORDER BY metadata.uid",
        "SELECT metadata.uid, count(*) FROM api_activity a JOIN authentication b USING (metadata.uid) GROUP BY metadata.uid HAVING metadata.uid > 'a'",
        "SELECT metadata.uid FROM api_activity a FULL JOIN authentication b USING (metadata.uid) ORDER BY metadata.uid",
        "SELECT metadata.uid FROM api_activity a RIGHT JOIN authentication b USING (metadata.uid) ORDER BY metadata.uid",
        "SELECT lower(metadata.uid) FROM api_activity a LEFT JOIN authentication b USING (metadata.uid) ORDER BY metadata.uid",
        "SELECT x.u FROM (SELECT metadata.uid AS u FROM api_activity a LEFT JOIN authentication b USING (metadata.uid) WHERE a.metadata.uid > 'a') x",
        "SELECT * FROM api_activity a NATURAL JOIN authentication b WHERE metadata.uid > 'a'",
        "SELECT metadata.uid FROM api_activity a JOIN api_activity b USING (metadata.uid) JOIN api_activity c USING (metadata.uid)",
    ] {
        println!(
            "{sql}\n   {:?}\n",
            match session.query(sql).await {
                Ok(s) => {
                    use futures::TryStreamExt;
                    match s.try_collect::<Vec<_>>().await {
                        Ok(b) => arrow::util::pretty::pretty_format_batches(&b).unwrap().to_string().replace('\n', " "),
                        Err(e) => e.to_string(),
                    }
                }
                Err(e) => e.to_string(),
            }
        );
    }
}
