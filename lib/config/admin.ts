/** The `admin` block: the listener for those who watch the server (daemon.md §4). */
import { flag, port, text, type KeySchema } from './key-schema';

export interface AdminConfig {
    port: number;
    address: string;
}

export const adminBlock: KeySchema = {
    type: 'object',
    expected: 'an object with "port" and "address"',
    description:
        'With this block, even an empty one, there is a second listener for whoever runs the server: health, metrics, ' +
        'the newest log records and a status page, to anybody who reaches it and without TLS. Absent: there is none.',
    properties: {
        port: { ...port('Port of the admin listener; 0 takes a free one.'), default: 6971 },
        address: {
            ...text('an IP address or host name', 'Address of the admin listener.'),
            default: '127.0.0.1',
        },
    },
};

export interface MetricsConfig {
    bucketSuffix: boolean;
}

export const metricsBlock: KeySchema = {
    type: 'object',
    default: {},
    expected: 'an object with "bucketSuffix"',
    properties: {
        bucketSuffix: flag(
            'Give the buckets of `http_request_duration_seconds` a second time, under the name with `_bucket` that ' +
                'Prometheus has for them. Without the suffix, as dashboards of Triton ask for them, they are always there.',
            false,
        ),
    },
};
