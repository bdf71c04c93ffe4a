//! The controllers as a process: what they tell of themselves while they run and no apiserver answers.

#[allow(
    clippy::unwrap_used,
    reason = "what cannot be read fails the test that reads it"
)]
#[path = "../../component/tests/common/scraper.rs"]
mod scraper;

use controllers::Options;

#[test]
fn controllers_without_an_apiserver_are_alive_and_tell_the_metrics_of_their_queues() {
    let run = |words| controllers::run(Options::parse_words(words).expect("flags"));
    let flags = ["--leader-elect=false", "--controllers=deployment,namespace"];
    let look = |scraper: scraper::Scraper| async move {
        for path in ["/healthz", "/livez", "/readyz"] {
            let told = scraper.get(path, "").await;
            assert_eq!(told, (200, "ok".to_owned()), "{path}");
        }
        let (code, text) = scraper.get("/metrics", "").await;
        assert_eq!(code, 200);
        for line in [
            "workqueue_depth{name=\"deployment\"} 0\n",
            "workqueue_adds_total{name=\"namespace\"} 0\n",
            "workqueue_work_duration_seconds_count{name=\"deployment\"} 0\n",
            "# TYPE process_resident_memory_bytes gauge\n",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
        assert!(!text.contains("name=\"job\""), "it does not run");
        assert!(!text.contains("leader_election"), "there is no election");
        assert_eq!(scraper.get("/configz", "").await.0, 403);
    };
    scraper::look_at(("kube-controller-manager", &flags), run, look);
}
