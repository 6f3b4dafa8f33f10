/** The block `s3` of the configuration: the bucket that keeps image files (storage.md §2, manta.md §8). */
import { censorConfig } from './censor';
import { flag, size, text, time, type KeySchema } from './key-schema';
import { isServiceUrl } from './outbound';
import type { S3Config } from './types';

const MIB = 1024 ** 2;

/** What the server keeps below `prefix`: nothing is exported there. */
const KEPT = ['images', 'archive', 'keys', 'authkeys'];

/** One segment of a key, as in lib/storage/key.ts. */
const SEGMENT = '(?!\\.\\.?(/|$))[A-Za-z0-9._-]+';

export const s3Block: KeySchema = {
    type: 'object',
    expected: 'an object with "bucket" and "region"',
    required: ['bucket', 'region'],
    properties: {
        bucket: {
            type: 'string',
            pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{2,254}$',
            expected: 'the name of a bucket',
            description: 'Bucket, which has to exist; the block is required if `storageTypes` lists `s3`.',
        },
        region: text(
            'the name of a region such as "us-east-1"',
            'Region of the bucket. Servers other than Amazon take any, most of them `us-east-1`.',
        ),
        endpoint: text(
            'a URL',
            'URL of the server, such as `https://s3.example.com`. Absent: that of Amazon in the region.',
        ),
        forcePathStyle: flag(
            'Ask for `https://s3.example.com/bucket/key` instead of `https://bucket.s3.example.com/key`: most servers ' +
                'other than Amazon need it.',
        ),
        accessKeyId: text(
            'an access key',
            'Access key of the user. Absent: credentials are looked for where the AWS tools do, that is in the ' +
                'environment, in `~/.aws`, and at the metadata service of the machine.',
        ),
        secretAccessKey: text('the secret of accessKeyId', 'Secret of that key. It is never logged.'),
        prefix: {
            type: 'string',
            pattern: `^(${SEGMENT}(/${SEGMENT})*/?)?$`,
            expected: 'names of letters, digits, ".", "_" and "-", joined by "/"',
            description:
                'What the keys of all objects begin with, such as `imgapi/east`: lets several servers share a bucket.',
        },
        remote: flag('S3 is in another place: images of `adminUuid` stay on local disk.'),
        partSize: size(
            8 * MIB,
            512 * MIB,
            'Files larger than this are uploaded in parts of this size, and an upload takes this much memory, or up to ' +
                'three times as much while there are few. The largest file, of 20 GiB, has to fit into 10,000 parts.',
            5 * MIB,
        ),
        connectTimeout: time(5000, 'Within this a connection to S3 has to stand.'),
        idleTimeout: time(
            20_000,
            'Within this S3 has to answer, and while bytes are under way some have to move; then it is tried again.',
        ),
        exportPrefix: {
            type: 'string',
            pattern: `^${SEGMENT}(/${SEGMENT})*/?$`,
            expected: 'names of letters, digits, ".", "_" and "-", joined by "/"',
            description:
                'What the keys of exported images begin with, such as `exports`: `s3_path` of an export is what comes ' +
                'behind it. Absent: images cannot be exported from S3.',
        },
        presignRedirect: flag(
            'Answer downloads of files that ask for it, by `redirect=1`, with a redirection to S3, where their bytes ' +
                'can be had for 15 minutes by whoever knows the URL.',
        ),
    },
};

/** What keys with a prefix begin with in the bucket: nothing, or something that ends in `/`. */
export function keyRoot(prefix = ''): string {
    const names = prefix.replace(/\/$/, '');
    return names === '' ? '' : `${names}/`;
}

/** URL of the server, without a slash at its end. */
export function s3Server({ endpoint, region }: Pick<S3Config, 'endpoint' | 'region'>): string {
    return (endpoint ?? `https://s3.${region}.amazonaws.com`).replace(/\/+$/, '');
}

/** What exports would get in the way of; undefined if they have their place to themselves. */
function keptBelow({ prefix, exportPrefix }: S3Config): string | undefined {
    const exported = keyRoot(exportPrefix);
    return KEPT.map((name) => `${keyRoot(prefix)}${name}/`).find(
        (kept) => exported !== '' && (kept.startsWith(exported) || exported.startsWith(kept)),
    );
}

/** The reason against a block of the right shape, or undefined. */
export function checkS3(config: S3Config): string | undefined {
    const { endpoint, accessKeyId, secretAccessKey, exportPrefix } = config;
    const kept = keptBelow(config);
    if (kept !== undefined) {
        return (
            `config.s3.exportPrefix is ${JSON.stringify(exportPrefix)}; it must not have to do with "${kept}", where ` +
            'the server keeps its own: take another, such as "exports"'
        );
    }
    if (endpoint !== undefined && !isServiceUrl(endpoint)) {
        return (
            `config.s3.endpoint is ${JSON.stringify(censorConfig(endpoint))}; it must be a URL of http or https without ` +
            'credentials, such as "https://s3.example.com"'
        );
    }
    if ((accessKeyId === undefined) !== (secretAccessKey === undefined)) {
        const [given, missing] =
            accessKeyId === undefined
                ? ['secretAccessKey', 'accessKeyId']
                : ['accessKeyId', 'secretAccessKey'];
        return (
            `config.s3.${missing} is missing; config.s3.${given} is given, and they belong together: give both, or ` +
            'neither to have them found in the environment'
        );
    }
    return undefined;
}
