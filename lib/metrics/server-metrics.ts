/** What the admin listener tells Prometheus beside the series of requests. */
import { AggregatorRegistry, collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Authenticator } from '../auth/driver';
import { Refusal } from '../auth/refusal';
import type { ConnectionUsage } from '../db/driver';
import type { StorageDriver } from '../storage/driver';
import type { Traffic } from './traffic';
import { MeasuredStorage, type StorageObserver } from './measured-storage';

/** Values of the server as a whole; one that cannot be had at the moment is undefined. */
export interface ServerReadings {
    readonly version: string;
    readonly mode: string;
    readonly processes: number;
    readonly images: Readonly<Record<string, number>> | undefined;
    readonly jobs: Readonly<Record<string, number>> | undefined;
    /** Bytes that a storage has room for, where it can tell. */
    readonly free: Readonly<Record<string, number>>;
    /** Whether each can be used. */
    readonly dependencies: Readonly<Record<string, boolean>>;
}

/** What one process has measured, in prom-client's form; it goes from process to process as JSON. */
export type ProcessMetrics = Awaited<ReturnType<Registry['getMetricsAsJSON']>>;

/** Of a storage's operations, in seconds. */
const STORAGE_BUCKETS = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600];

/** Metrics of the library that say little, and break the rules for names. */
const LEFT_OUT = ['resources', 'handles', 'requests'].flatMap((what) => [
    `nodejs_active_${what}`,
    `nodejs_active_${what}_total`,
]);

/** The metrics of this process. */
export class ServerMetrics implements StorageObserver {
    readonly #registry = new Registry();
    readonly #operations: Histogram<'storage' | 'operation'>;
    readonly #storageErrors: Counter<'storage' | 'operation' | 'code'>;
    readonly #storageBytes: Counter<'storage' | 'direction'>;
    readonly #refusals: Counter<'reason'>;

    /** What it has connections to. */
    database: { readonly connectionUsage: ConnectionUsage | undefined } | undefined;

    constructor(traffic: Traffic) {
        const registers = [this.#registry];
        collectDefaultMetrics({ register: this.#registry });
        LEFT_OUT.forEach((name) => this.#registry.removeSingleMetric(name));
        this.#operations = new Histogram({
            name: 'imgapi_storage_operation_seconds',
            help: 'Time that operations of a storage took; "stage" has the time in which the client sent its bytes in it',
            labelNames: ['storage', 'operation'],
            buckets: STORAGE_BUCKETS,
            registers,
        });
        this.#storageErrors = new Counter({
            name: 'imgapi_storage_errors_total',
            help: 'Operations that failed by the fault of the storage, by the code of the error',
            labelNames: ['storage', 'operation', 'code'],
            registers,
        });
        this.#storageBytes = new Counter({
            name: 'imgapi_storage_bytes_total',
            help: 'Bytes of objects read from a storage and written to it',
            labelNames: ['storage', 'direction'],
            registers,
        });
        this.#refusals = new Counter({
            name: 'imgapi_signature_refusals_total',
            help: 'Requests refused for their signature, by what was wrong with it',
            labelNames: ['reason'],
            registers,
        });
        const gauge = (name: string, help: string, value: () => number) =>
            new Gauge({
                name,
                help,
                registers,
                collect() {
                    this.set(value());
                },
            });
        gauge('imgapi_requests_in_flight', 'Requests that are being answered', () => traffic.requests);
        gauge('imgapi_uploads_in_flight', 'Files that are being received', () => traffic.uploads);
        gauge(
            'imgapi_downloads_in_flight',
            'Files and long lists that are being sent',
            () => traffic.downloads,
        );
        const counter = (name: string, help: string, value: () => number) =>
            new Counter({
                name,
                help,
                registers,
                collect() {
                    this.reset();
                    this.inc(value());
                },
            });
        counter('imgapi_received_bytes_total', 'Bytes of request bodies', () => traffic.received);
        counter('imgapi_sent_bytes_total', 'Bytes of answer bodies', () => traffic.sent);
        const connections = () => this.database?.connectionUsage ?? {};
        new Gauge({
            name: 'imgapi_database_connections',
            help: 'Connections to PostgreSQL: open ones, those of them that nobody uses, and requests that wait for one',
            labelNames: ['state'],
            registers,
            collect() {
                Object.entries(connections()).forEach(([state, count]) => this.set({ state }, Number(count)));
            },
        });
    }

    operation(storage: string, operation: string, seconds: number): void {
        this.#operations.observe({ storage, operation }, seconds);
    }
    failed(storage: string, operation: string, code: string): void {
        this.#storageErrors.inc({ storage, operation, code });
    }
    bytes(storage: string, direction: string, count: number): void {
        this.#storageBytes.inc({ storage, direction }, count);
    }

    storage(driver: StorageDriver): StorageDriver {
        return new MeasuredStorage(driver, this);
    }

    /** The same authenticator, whose refusals are counted. */
    authenticator(auth: Authenticator): Authenticator {
        return {
            type: auth.type,
            open: () => auth.open(),
            close: () => auth.close(),
            reload: () => auth.reload(),
            certified: (certificate) => auth.certified(certificate),
            authenticate: async (request, required) => {
                try {
                    return await auth.authenticate(request, required);
                } catch (err) {
                    if (err instanceof Refusal) {
                        this.#refusals.inc({ reason: err.reason });
                    }
                    throw err;
                }
            },
        };
    }

    measured(): Promise<ProcessMetrics> {
        return this.#registry.getMetricsAsJSON();
    }
}

/** The metrics of all processes together, and of the server, in the text format of Prometheus. */
export async function serverText(all: readonly ProcessMetrics[], server: ServerReadings): Promise<string> {
    const registry = new Registry();
    const registers = [registry];
    const { version, mode, processes, images, jobs, free, dependencies } = server;
    new Gauge({ name: 'imgapi_info', help: 'Always 1', labelNames: ['version', 'mode'], registers }).set(
        { version, mode },
        1,
    );
    new Gauge({ name: 'imgapi_processes', help: 'Processes that answer requests', registers }).set(processes);
    const counted = (name: string, help: string, labelName: string, counts: ServerReadings['images']) => {
        const gauge = new Gauge({ name, help, labelNames: [labelName], registers });
        Object.entries(counts ?? {}).forEach(([value, count]) => gauge.set({ [labelName]: value }, count));
    };
    counted('imgapi_images', 'Images by their state', 'state', images);
    counted('imgapi_jobs', 'Jobs by what has become of them', 'execution', jobs);
    counted('imgapi_storage_free_bytes', 'Bytes that the storage has room for', 'storage', free);
    const up = Object.entries(dependencies).map(([name, isUp]): [string, number] => [name, isUp ? 1 : 0]);
    counted(
        'imgapi_dependency_up',
        'Whether what the server depends on can be used',
        'dependency',
        Object.fromEntries(up),
    );
    return `${await AggregatorRegistry.aggregate([...all]).metrics()}${await registry.metrics()}`;
}
