/** One S3 server, as the driver talks to it: what is tried again, what is given up, and what is told of it. */
import {
    S3Client,
    type S3ClientConfig,
    type ServiceInputTypes,
    type ServiceOutputTypes,
} from '@aws-sdk/client-s3';
import type Logger from 'bunyan';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { silenceSdkAdvice } from '../config/environment';
import type { S3Config } from '../config/types';
import {
    adviceFor,
    clientError,
    codeOf,
    isAboutRequest,
    isDamaged,
    mayPass,
    refusalOf,
    type S3Place,
} from './s3-errors';

/** Pauses between the tries of what would cost much to begin again, in ms: each is a request and its repetitions. */
const PAUSES: readonly number[] = [250, 1000, 2000, 4000];

/** How often a request is sent, with growing pauses between that begin with 100 ms. */
const ATTEMPTS = 3;

/** As the SDK declares what it can send. */
type Sendable<Input extends ServiceInputTypes, Output extends ServiceOutputTypes> = Parameters<
    typeof S3Client.prototype.send<Input, Output>
>[0];

export interface CallOptions {
    signal?: AbortSignal | undefined;
    /** Tries for longer, with pauses between. */
    patient?: boolean;
    /** Answers to it have no body, as those to HEAD. */
    bodiless?: boolean;
}

export class S3Service {
    readonly bucket: string;
    readonly idleTimeout: number;
    readonly pauses: readonly number[];
    readonly #place: S3Place;
    readonly #log: Logger;
    readonly #calls: S3Client;
    readonly #reads: S3Client;
    /** What was told to be wrong and still is: codes, and the kinds of requests that met each. */
    readonly #troubles = new Map<string, Set<string>>();

    constructor(config: S3Config, maxSockets: number, log: Logger, pauses = PAUSES) {
        this.bucket = config.bucket;
        this.idleTimeout = config.idleTimeout;
        this.pauses = pauses;
        this.#place = { bucket: config.bucket, region: config.region, endpoint: config.endpoint };
        this.#log = log;
        silenceSdkAdvice();
        const { accessKeyId, secretAccessKey, connectTimeout, idleTimeout } = config;
        const common: S3ClientConfig = {
            region: config.region,
            forcePathStyle: config.forcePathStyle ?? false,
            maxAttempts: ATTEMPTS,
            // Not every server knows the newer checksums; the signature covers the hash of all that is sent.
            requestChecksumCalculation: 'WHEN_REQUIRED',
            responseChecksumValidation: 'WHEN_REQUIRED',
            ...(config.endpoint !== undefined && { endpoint: config.endpoint }),
            ...(accessKeyId !== undefined &&
                secretAccessKey !== undefined && { credentials: { accessKeyId, secretAccessKey } }),
        };
        this.#calls = new S3Client({
            ...common,
            requestHandler: {
                connectionTimeout: connectTimeout,
                socketTimeout: idleTimeout,
                httpAgent: new HttpAgent({ keepAlive: true, maxSockets }),
                httpsAgent: new HttpsAgent({ keepAlive: true, maxSockets }),
            },
        });
        // A download lasts as long as its client likes, and nothing moves while that one is slow.
        this.#reads = new S3Client({
            ...common,
            credentials: this.#calls.config.credentials,
            requestHandler: {
                connectionTimeout: connectTimeout,
                requestTimeout: idleTimeout,
                throwOnRequestTimeout: true,
                httpAgent: new HttpAgent({ keepAlive: true }),
                httpsAgent: new HttpsAgent({ keepAlive: true }),
            },
        });
    }

    /** For URLs that it signs. */
    get client(): S3Client {
        return this.#calls;
    }

    close(): void {
        this.#calls.destroy();
        this.#reads.destroy();
    }

    /**
     * Sends a request, again where that makes sense.
     *
     * @throws S3Refusal; the signal's reason; ApiError StorageIsDown or InsufficientStorage, after telling the log
     */
    call<Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
        command: Sendable<Input, Output>,
        options: CallOptions = {},
    ): Promise<Output> {
        return this.#send(this.#calls, command, options);
    }

    /** As {@link call}, for an answer whose body may be taken slowly. Whoever takes it watches over it. */
    open<Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
        command: Sendable<Input, Output>,
        options: CallOptions = {},
    ): Promise<Output> {
        return this.#send(this.#reads, command, options);
    }

    async #send<Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
        client: S3Client,
        command: Sendable<Input, Output>,
        { signal, patient = false, bodiless = false }: CallOptions,
    ): Promise<Output> {
        const pauses = patient ? [...this.pauses] : [];
        const request = command.constructor.name;
        let damaged = 1;
        for (;;) {
            signal?.throwIfAborted();
            try {
                const output = await client.send(command, { ...(signal && { abortSignal: signal }) });
                this.#worked(request);
                return output;
            } catch (error) {
                signal?.throwIfAborted();
                const refusal = refusalOf(error, bodiless);
                if (refusal) {
                    // Without a body it may mean anything.
                    if (!bodiless) {
                        this.#worked(request);
                    }
                    throw refusal;
                }
                if (isDamaged(error) && damaged++ < ATTEMPTS) {
                    continue;
                }
                const pause = mayPass(error) ? pauses.shift() : undefined;
                if (pause === undefined) {
                    throw this.failure(error, request);
                }
                await sleep(pause, undefined, { ...(signal && { signal }) }).catch(() => undefined);
            }
        }
    }

    /**
     * The error for a client, after what is wrong was told to the log: once, until it works again.
     * @param request the name of the SDK's command
     */
    failure(error: unknown, request: string): Error {
        const toClient = clientError(error);
        if (error === toClient) {
            return toClient;
        }
        const code = codeOf(error);
        const met = this.#troubles.get(code) ?? new Set();
        const isTold = met.has(request) || (met.size > 0 && !isAboutRequest(code));
        this.#troubles.set(code, met.add(request));
        if (isTold) {
            return toClient;
        }
        const advice = adviceFor(error, this.#place);
        const about = {
            err: error,
            code,
            request: request.replace(/Command$/, ''),
            bucket: this.bucket,
            endpoint: this.#place.endpoint,
        };
        if (advice === undefined) {
            this.#log.warn(about, 'S3: not usable; trying on');
        } else {
            this.#log.error(about, `S3: not usable: ${advice}`);
        }
        return toClient;
    }

    #worked(request: string): void {
        for (const [code, met] of this.#troubles) {
            // Who may list need not be permitted to write, and what is full can be read.
            met.delete(request);
            if (met.size === 0 || !isAboutRequest(code)) {
                this.#troubles.delete(code);
                if (this.#troubles.size === 0) {
                    this.#log.info({ code, bucket: this.bucket }, 'S3: usable again');
                }
            }
        }
    }
}
