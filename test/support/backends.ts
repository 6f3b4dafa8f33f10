/** A server with all storages: the local disk, a stand-in for Manta, and a real S3 server where a test needs one. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { StorageType } from '../../lib/manifest';
import { imageFolder, imageKey, type StorageDriver } from '../../lib/storage/driver';
import { createLocalStorage } from '../../lib/storage/local';
import { createS3Storage } from '../../lib/storage/s3';
import { put } from '../conformance/storage';
import { FaultProxy } from './fault-proxy';
import { MantaAccount } from './manta-storage';
import type { MantaServer } from './manta-server';
import { RadosGateway } from './radosgw';
import { recordingLog } from './recording-log';
import { Registry } from './registry';
import { makeFolder } from './server';

export type ObjectStore = Exclude<StorageType, 'local'>;

/** Smallest part there is, so that files of some MiB have several. */
const PART = 5 * 1024 * 1024;

export class Backends {
    private constructor(
        private readonly folder: Awaited<ReturnType<typeof makeFolder>>,
        readonly account: MantaAccount,
        readonly manta: MantaServer,
        readonly s3: RadosGateway | undefined,
        /** What the server reaches its object stores through. */
        readonly proxies: Readonly<Record<ObjectStore, FaultProxy | undefined>>,
        private readonly drivers: ReadonlyMap<StorageType, StorageDriver>,
    ) {}

    /**
     * @param context if S3 is wanted: its tests are skipped where that cannot be had
     * @param rootDir in Manta, of a server in a datacenter
     */
    static async start(context?: Mocha.Context, rootDir?: string): Promise<Backends> {
        const s3 = context && (await RadosGateway.start(context));
        const folder = await makeFolder();
        const account = new MantaAccount();
        const manta = await account.serve();
        const dataDir = join(folder.path, 'data');
        await mkdir(dataDir);
        const drivers = [
            createLocalStorage({ dataDir }),
            account.storage(manta.url, { ...(rootDir !== undefined && { rootDir }) }),
            ...(s3 ? [createS3Storage({ config: s3.config, maxSockets: 10, log: recordingLog([]) })] : []),
        ];
        for (const driver of drivers) {
            await driver.open();
        }
        const proxies = {
            manta: await FaultProxy.start(manta.url),
            s3: s3 && (await FaultProxy.start(s3.url)),
        };
        const byType = new Map(drivers.map((driver) => [driver.type, driver]));
        return new Backends(folder, account, manta, s3, proxies, byType);
    }

    get types(): StorageType[] {
        return [...this.drivers.keys()];
    }

    get dataDir(): string {
        return join(this.folder.path, 'data');
    }

    /** What a server needs to have all of them. */
    get config(): Record<string, unknown> {
        return {
            storageTypes: this.types,
            manta: { ...this.account.config(this.proxies.manta?.url ?? ''), connectTimeout: 2000 },
            ...(this.s3 && {
                s3: {
                    ...this.s3.config,
                    endpoint: this.proxies.s3?.url,
                    partSize: PART,
                    connectTimeout: 2000,
                },
            }),
        };
    }

    /** A server that has them all. */
    serve(config: Record<string, unknown> = {}): Promise<Registry> {
        return Registry.start({ ...this.config, ...config }, { dataDir: this.dataDir });
    }

    /** Past the proxies. */
    driver(type: StorageType): StorageDriver {
        const driver = this.drivers.get(type);
        if (!driver) {
            throw new Error(`The test has no storage "${type}".`);
        }
        return driver;
    }

    /** Names of an image's objects in each storage that has some, unfinished ones included. */
    async stored(uuid: string): Promise<Partial<Record<StorageType, string[]>>> {
        const stored: Partial<Record<StorageType, string[]>> = {};
        for (const driver of this.drivers.values()) {
            for await (const { key } of driver.list(imageFolder(uuid))) {
                (stored[driver.type] ??= []).push(key.slice(imageFolder(uuid).length));
            }
            stored[driver.type]?.sort();
        }
        return stored;
    }

    /** Waits until the objects of an image are these. */
    async untilStored(uuid: string, wanted: Partial<Record<StorageType, string[]>>): Promise<void> {
        const text = (value: object): string => JSON.stringify(Object.entries(value).sort());
        const end = Date.now() + 10_000;
        for (;;) {
            const stored = await this.stored(uuid);
            if (text(stored) === text(wanted)) {
                return;
            }
            if (Date.now() > end) {
                throw new Error(`Stored are ${text(stored)} instead of ${text(wanted)}.`);
            }
            await new Promise((resolve) => setTimeout(resolve, 20));
        }
    }

    /** Puts other bytes in the place of an image's object, as a fault of the storage would. */
    async damage(type: StorageType, uuid: string, object: string, bytes: Buffer): Promise<void> {
        const key = imageKey(uuid, object);
        await this.driver(type).delete(key);
        await put(this.driver(type), key, bytes);
    }

    /** All requests go through again. */
    heal(): void {
        this.proxies.manta?.clear();
        this.proxies.s3?.clear();
    }

    async stop(): Promise<void> {
        for (const driver of this.drivers.values()) {
            await driver.close();
        }
        await this.proxies.manta?.stop();
        await this.proxies.s3?.stop();
        await this.manta.stop();
        await this.s3?.stop();
        this.account.remove();
        await this.folder.remove();
    }
}
