import type {
    ObjectInfo,
    ObjectReader,
    PresignOptions,
    ReadOptions,
    StagedObject,
    StageOptions,
    StorageCapabilities,
    StorageDriver,
    StorageExports,
    StorageSpace,
} from '../storage/driver';
import { ApiError } from '../errors';
import type { StorageType } from '../manifest';

/** Who is told what a storage does. */
export interface StorageObserver {
    /** @param seconds that it took, whatever came of it */
    operation(storage: StorageType, operation: string, seconds: number): void;
    /** Something went wrong by the fault of the storage, with this code of the error table. */
    failed(storage: StorageType, operation: string, code: string): void;
    bytes(storage: StorageType, direction: 'read' | 'written', count: number): void;
}

/** From this status on, an error is not the fault of who sent the request. */
const SERVER_FAULT = 500;

/** A storage that tells how long what it does takes, and what fails. */
export class MeasuredStorage implements StorageDriver {
    readonly type: StorageType;
    readonly location: string;
    readonly capabilities: StorageCapabilities;
    readonly exports?: StorageExports;
    readonly presign?: (key: string, options: PresignOptions) => Promise<string>;
    readonly space?: () => Promise<StorageSpace>;

    constructor(
        private readonly driver: StorageDriver,
        private readonly observer: StorageObserver,
    ) {
        this.type = driver.type;
        this.location = driver.location;
        this.capabilities = driver.capabilities;
        if (driver.exports) {
            this.exports = driver.exports;
        }
        if (driver.space) {
            this.space = driver.space.bind(driver);
        }
        if (driver.presign) {
            this.presign = driver.presign.bind(driver);
        }
    }

    async #measure<T>(operation: string, work: Promise<T>): Promise<T> {
        const begin = performance.now();
        try {
            return await work;
        } catch (err) {
            this.#failed(operation, err);
            throw err;
        } finally {
            this.observer.operation(this.type, operation, (performance.now() - begin) / 1000);
        }
    }

    #failed(operation: string, err: unknown): void {
        if (err instanceof ApiError && err.status >= SERVER_FAULT) {
            this.observer.failed(this.type, operation, err.code);
        }
    }

    open(): Promise<void> {
        return this.driver.open();
    }
    close(): Promise<void> {
        return this.driver.close();
    }
    check(): Promise<void> {
        return this.#measure('check', this.driver.check());
    }

    async stage(
        key: string,
        source: AsyncIterable<Uint8Array>,
        options?: StageOptions,
    ): Promise<StagedObject> {
        const staged = await this.#measure('stage', this.driver.stage(key, source, options));
        this.observer.bytes(this.type, 'written', staged.size);
        return {
            size: staged.size,
            commit: () => this.#measure('commit', staged.commit()),
            discard: () => staged.discard(),
        };
    }

    async read(key: string, options?: ReadOptions): Promise<ObjectReader | undefined> {
        const reader = await this.#measure('read', this.driver.read(key, options));
        return reader && { info: reader.info, body: this.#measuredBody(reader.body) };
    }

    /** Not a generator: ended before its first chunk, that would not end the body. */
    #measuredBody(body: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
        return {
            [Symbol.asyncIterator]: () => {
                const chunks = body[Symbol.asyncIterator]();
                return {
                    next: async () => {
                        try {
                            const step = await chunks.next();
                            if (step.done !== true) {
                                this.observer.bytes(this.type, 'read', step.value.length);
                            }
                            return step;
                        } catch (err) {
                            this.#failed('read', err);
                            throw err;
                        }
                    },
                    return: async () => {
                        await chunks.return?.();
                        return { done: true, value: undefined };
                    },
                };
            },
        };
    }

    stat(key: string): Promise<ObjectInfo | undefined> {
        return this.#measure('stat', this.driver.stat(key));
    }
    delete(key: string): Promise<void> {
        return this.#measure('delete', this.driver.delete(key));
    }
    copy(from: string, to: string): Promise<ObjectInfo | undefined> {
        return this.#measure('copy', this.driver.copy(from, to));
    }
    list(prefix: string): AsyncIterable<ObjectInfo> {
        return this.driver.list(prefix);
    }
}
