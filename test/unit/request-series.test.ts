/** The series of requests (metrics-and-extras.md §1.1). */
import assert from 'node:assert/strict';
import { addCounts, requestText, RequestSeries } from '../../lib/metrics/request-series';

const LABELS = { datacenter: 'dc1', instance: 'i', server: 's', service: 'imgapi' };
const PLAIN = { withSuffix: false };
const HEAD = [
    '# HELP http_requests_completed count of requests completed',
    '# TYPE http_requests_completed counter',
];
const BUCKETS =
    '0.001 0.002 0.004 0.006 0.008 0.01 0.02 0.04 0.06 0.08 0.1 0.2 0.4 0.6 0.8 1 2 4 6 8 10 20 40 60 80 100 200 400 600 800 1000 2000 4000'.split(
        ' ',
    );

describe('the series of requests', () => {
    it('are their headings as long as there was no request', () => {
        assert.equal(
            requestText([], LABELS, PLAIN),
            [
                ...HEAD,
                '# HELP http_request_duration_seconds total time to process requests',
                '# TYPE http_request_duration_seconds histogram',
                '',
            ].join('\n'),
        );
    });

    it('have the names, labels and buckets of the original, in its order', () => {
        const series = new RequestSeries();
        series.count('ping', 'GET', 'curl/7.88.1 extra', 200, 1);
        series.count('ping', 'GET', 'curl/7.88.1', 200, 3);
        series.count('ping', 'GET', 'curl/7.88.1', 200, 5_000_000);
        const lines = requestText(series.counts, LABELS, PLAIN).split('\n');
        const own =
            'route="ping",method="GET",user_agent="curl/7.88.1",status_code="200",datacenter="dc1",instance="i",' +
            'server="s",service="imgapi",buckets_version="1"';
        assert.deepEqual(lines.slice(0, 3), [...HEAD, `http_requests_completed{${own}} 3`]);
        const buckets = lines.slice(5, 5 + BUCKETS.length);
        assert.deepEqual(
            buckets,
            BUCKETS.map(
                (le) =>
                    `http_request_duration_seconds{${own},le="${le}"} ${Number(le) < 0.002 ? 1 : Number(le) < 0.004 ? 1 : 2}`,
            ),
        );
        assert.deepEqual(lines.slice(5 + BUCKETS.length), [
            `http_request_duration_seconds{le="+Inf",${own}} 3`,
            `http_request_duration_seconds_count{${own}} 3`,
            `http_request_duration_seconds_sum{${own}} 5000.004`,
            '',
        ]);
    });

    it('have the buckets under the name of Prometheus as well if that is wanted', () => {
        const series = new RequestSeries();
        series.count('ping', 'GET', undefined, 200, 1);
        const lines = requestText(series.counts, {}, { withSuffix: true }).split('\n');
        const both = lines.filter((line) => line.includes('le="0.001"'));
        const own = 'route="ping",method="GET",user_agent="unknown",status_code="200",buckets_version="1"';
        assert.deepEqual(both, [
            `http_request_duration_seconds{${own},le="0.001"} 1`,
            `http_request_duration_seconds_bucket{${own},le="0.001"} 1`,
        ]);
    });

    it('escape what clients say', () => {
        const series = new RequestSeries();
        series.count('ping', 'GET', 'a"b\\c\nd', 200, 1);
        assert.ok(requestText(series.counts, {}, PLAIN).includes('user_agent="a\\"b\\\\c\\nd"'));
    });

    it('have an end, however many agents there are and however long they are', () => {
        const series = new RequestSeries();
        for (let n = 0; n < 20_000; n++) {
            series.count('ping', 'GET', `agent-${n}/${'x'.repeat(1000)}`, 200, 1);
        }
        const { counts } = series;
        assert.equal(counts.length, 101);
        const total = addCounts([counts]).reduce(
            (sum, one) => sum + one.counts.reduce((all, bucket) => all + bucket, 0),
            0,
        );
        assert.equal(total, 20_000, 'all are counted');
        assert.ok(counts.every(({ labels: [, , agent] }) => agent.length <= 64));
        assert.ok(counts.some(({ labels: [, , agent] }) => agent === 'other'));
    });

    it('of several processes are added up', () => {
        const [one, two] = [new RequestSeries(), new RequestSeries()];
        one.count('ping', 'GET', 'a', 200, 3);
        two.count('ping', 'GET', 'a', 200, 5000);
        two.count('ping', 'GET', 'a', 404, 1);
        const text = requestText(addCounts([one.counts, two.counts]), {}, PLAIN);
        assert.match(text, /requests_completed\{[^}]*status_code="200"[^}]*\} 2\n/);
        assert.match(text, /requests_completed\{[^}]*status_code="404"[^}]*\} 1\n/);
        assert.match(text, /_sum\{[^}]*status_code="200"[^}]*\} 5.003\n/);
    });
});
