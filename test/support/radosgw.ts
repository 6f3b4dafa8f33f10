/** A real S3 server for tests: deps/s3. */
import { spawnSync } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { skip } from './skip';

const DEPS = resolve(__dirname, '../../deps/s3');

/** `start` says so if a program is missing. */
const NOT_INSTALLED = 127;

/** How long a start may take, in ms: most of it is waiting for one daemon after the other. */
const START_WITHIN = 60_000;

export interface S3Credentials {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
}

export class RadosGateway {
    private constructor(
        private readonly folder: string,
        readonly url: string,
        /** There when it starts, and empty. */
        readonly bucket: string,
        readonly credentials: S3Credentials,
    ) {}

    /** Starts one, which takes some seconds; skips the test or suite of `context` where it cannot be started. */
    static async start(context: Mocha.Context): Promise<RadosGateway> {
        context.timeout(START_WITHIN);
        const folder = await mkdtemp(join(tmpdir(), 'imgapi-s3-'));
        // Its daemons work in it as another user.
        await chmod(folder, 0o755);
        const { status, stdout, stderr } = spawnSync(join(DEPS, 'start'), [folder], { encoding: 'utf8' });
        if (status !== 0) {
            await rm(folder, { recursive: true });
            if (status === NOT_INSTALLED) {
                skip(context, stderr.trim());
            }
            throw new Error(`deps/s3/start ended with ${String(status)}: ${stderr}`);
        }
        const [url = '', bucket = '', accessKeyId = '', secretAccessKey = ''] = stdout.trim().split('\n');
        return new RadosGateway(folder, url, bucket, { accessKeyId, secretAccessKey });
    }

    /** Ends and removes it. */
    async stop(): Promise<void> {
        const { status, stderr } = spawnSync(join(DEPS, 'stop'), [this.folder], { encoding: 'utf8' });
        if (status !== 0) {
            throw new Error(`deps/s3/stop ended with ${String(status)}: ${stderr}`);
        }
        await rm(this.folder, { recursive: true });
    }
}
