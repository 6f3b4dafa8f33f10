import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Ajv from 'ajv';
import { ConfigError, loadConfig, type Config, type Environment } from '../../lib/config';
import { configSchema } from '../../lib/config/schema';
import { configTables } from '../../tools/config-table';
import { optionTable } from '../../tools/option-table';

describe('loadConfig (config.md §1 to §3)', () => {
    it('has a schema that is one, which it takes for granted', () => {
        const ajv = new Ajv({ allowUnionTypes: true });
        assert.equal(ajv.validateSchema(configSchema), true, ajv.errorsText());
    });

    const folder = mkdtempSync(join(tmpdir(), 'imgapi-config-'));
    const file = join(folder, 'imgapi.config.json');
    after(() => rmSync(folder, { recursive: true }));

    function load(settings: unknown, environment?: Environment): Config {
        writeFileSync(file, JSON.stringify(settings));
        return loadConfig({ file, ...(environment && { environment }) });
    }

    /** The reason a configuration is refused for, after the prefix. */
    function refusal(settings: unknown, environment?: Environment): string {
        try {
            load(settings, environment);
        } catch (error) {
            assert(error instanceof ConfigError);
            const prefix = 'invalid IMGAPI config: ';
            assert(error.message.startsWith(prefix), error.message);
            return error.message.slice(prefix.length);
        }
        return assert.fail('the configuration was accepted');
    }

    function warnings(settings: unknown): string[] {
        const heard: string[] = [];
        writeFileSync(file, JSON.stringify(settings));
        loadConfig({ file, onWarning: (message) => heard.push(message) });
        return heard;
    }

    const manta = { url: 'https://manta', user: 'joe', key: '/k', keyId: 'SHA256:x' };
    const s3 = { bucket: 'images', region: 'us-east-1' };
    const ufds = { url: 'ldaps://ufds', bindDN: 'cn=root', bindPassword: 'secret' };

    describe('merge and computed keys (§1)', () => {
        it('takes every documented default for an empty file', () => {
            const config = load({});
            const defaults = JSON.parse(
                readFileSync(join(__dirname, '../../etc/defaults.json'), 'utf8'),
            ) as object;
            for (const [key, value] of Object.entries(defaults)) {
                assert.deepEqual(config[key], value, key);
            }
        });

        it('replaces whole top-level keys', () => {
            const config = load({
                minImageCreationPlatform: ['8', 'x'],
                storageTypes: ['local', 'manta'],
                manta,
            });
            assert.deepEqual(config.minImageCreationPlatform, ['8', 'x']);
            assert.deepEqual(config.storageTypes, ['local', 'manta']);
        });

        it('fills in our own keys, one given key of a block keeping its neighbours', () => {
            const config = load({ limits: { readTimeout: '2s' } });
            assert.equal(config.dataDir, '/data/imgapi');
            assert.equal(config.databaseDir, '/data/imgapi');
            assert.equal(config.permitInsecure, false);
            assert.deepEqual(
                { ...config.limits },
                {
                    headerBytes: 1_048_576,
                    jsonBytes: 1_048_576,
                    headerTimeout: 15_000,
                    readTimeout: 2000,
                    writeTimeout: 60_000,
                    idleConnection: 130_000,
                    requests: 0,
                    tcpKeepAlive: 180_000,
                    queue: 1024,
                    gracefulStop: 15_000,
                    uploadSilence: 50_000,
                    purgeInterval: 1_800_000,
                    archiveInterval: 300_000,
                },
            );
        });

        it('lets databaseDir follow dataDir unless it is given', () => {
            assert.equal(load({ dataDir: '/srv/a' }).databaseDir, '/srv/a');
            assert.equal(load({ dataDir: '/srv/a', databaseDir: '/srv/b' }).databaseDir, '/srv/b');
        });

        it('computes manta.rootDir, whatever was given', () => {
            assert.equal(load({ manta: { ...manta, rootDir: '/x' } }).manta?.rootDir, '/joe/stor/imgapi');
            assert.equal(load({ manta: { ...manta, baseDir: '' } }).manta?.rootDir, '/joe/stor/imgapi');
            const inDc = load({
                mode: 'dc',
                datacenterName: 'east',
                ufds,
                manta: { ...manta, baseDir: 'b' },
            });
            assert.equal(inDc.manta?.rootDir, '/joe/stor/b/east');
        });

        it('reads times and sizes with units, and plain numbers as ms and bytes', () => {
            const limits = {
                headerBytes: '64KiB',
                jsonBytes: 4096,
                headerTimeout: '500ms',
                idleConnection: '3m',
            };
            const config = load({ limits });
            assert.equal(config.limits.headerBytes, 65_536);
            assert.equal(config.limits.jsonBytes, 4096);
            assert.equal(config.limits.headerTimeout, 500);
            assert.equal(config.limits.idleConnection, 180_000);
        });

        it('passes the error of the file system on for a file that cannot be read', () => {
            const missing = join(folder, 'missing.json');
            assert.throws(() => loadConfig({ file: missing }), {
                code: 'ENOENT',
                message: `ENOENT: no such file or directory, open '${missing}'`,
            });
        });

        it('names the file that is not JSON, or no object', () => {
            writeFileSync(file, '{"port": }');
            assert.throws(
                () => loadConfig({ file }),
                (error: Error) => error.message.startsWith(`could not parse ${file}: `),
            );
            assert.match(refusal([1]), /imgapi\.config\.json holds \[1\]; it must hold a JSON object/);
        });
    });

    describe('environment', () => {
        it('lets IMGAPI_* override the file, and HOST and PORT only stand in for it', () => {
            const environment = { IMGAPI_PORT: '81', PORT: '82', HOST: '127.0.0.9' };
            assert.equal(load({ port: 80 }, environment).port, 81);
            assert.equal(load({ port: 80 }, { PORT: '82' }).port, 80);
            assert.equal(load({}, { PORT: '82' }).port, 82);
            assert.equal(load({}, environment).address, '127.0.0.9');
            assert.equal(load({ address: '127.0.0.2' }, environment).address, '127.0.0.2');
            assert.equal(load({ address: '127.0.0.2' }, { IMGAPI_HOST: '127.0.0.3' }).address, '127.0.0.3');
        });

        it('takes an empty variable as not set', () => {
            assert.equal(load({}, { IMGAPI_PORT: '', PORT: '' }).port, 8080);
        });

        it('moves the base folder for test harnesses', () => {
            assert.equal(load({}, { IMGAPITEST_LOCAL_BASE_DIR: '/srv/test' }).databaseDir, '/srv/test');
        });

        it('names the variable that is wrong', () => {
            assert.equal(
                refusal({}, { IMGAPI_PORT: 'abc' }),
                'config.port (from IMGAPI_PORT) is "abc"; it must be a whole number from 0 to 65535',
            );
        });
    });

    describe('refusals (§3)', () => {
        const moray = { host: 'moray', port: 2020 };
        const cases: [string, Record<string, unknown>, RegExp][] = [
            ['a port out of range', { port: 65_536 }, /^config\.port is 65536; .* 0 to 65535$/],
            ['a port as text', { port: '80' }, /^config\.port is "80"; .*whole number/],
            ['an address that is no text', { address: 5 }, /^config\.address is 5; /],
            ['an empty address', { address: '' }, /^config\.address is ""; /],
            ['no sockets', { maxSockets: 0 }, /^config\.maxSockets is 0; /],
            ['a server name that is no text', { serverName: 1 }, /^config\.serverName is 1; /],
            ['an unknown mode', { mode: 'open' }, /^config\.mode is "open"; .*"public", "private", "dc"$/],
            ['dc without a name', { mode: 'dc', ufds }, /^config\.datacenterName is missing; .*"dc"/],
            ['dc without accounts', { mode: 'dc', datacenterName: 'e' }, /^config\.ufds is missing; /],
            [
                'accounts without a password',
                { mode: 'dc', datacenterName: 'e', ufds: { ...ufds, bindPassword: undefined } },
                /^config\.ufds\.bindPassword is missing; /,
            ],
            ...[
                'ufds.example.com',
                'https://ufds',
                'ldap://',
                'ldap://h:99999',
                'ldap://h/o=smartdc',
                'ldap://u:p@h',
                'ldap://[::1]',
                'ldap://a b',
            ].map((url): [string, Record<string, unknown>, RegExp] => [
                `accounts at ${url}`,
                { mode: 'dc', datacenterName: 'e', ufds: { ...ufds, url } },
                /^config\.ufds\.url is ".*"; .*"ldaps:\/\/"/,
            ]),
            [
                'accounts with a certificate at a relative path',
                { mode: 'dc', datacenterName: 'e', ufds: { ...ufds, ca: 'ca.pem' } },
                /^config\.ufds\.ca is "ca\.pem"; .*absolute path/,
            ],
            [
                'accounts with endless patience',
                { mode: 'dc', datacenterName: 'e', ufds: { ...ufds, timeout: 0 } },
                /^config\.ufds\.timeout is 0; /,
            ],
            ...[60_001, '2m', true, -1, '5', null].map((cache): [string, Record<string, unknown>, RegExp] => [
                `accounts remembered for ${JSON.stringify(cache)}`,
                { mode: 'dc', datacenterName: 'e', ufds: { ...ufds, cache } },
                /^config\.ufds\.cache is .*; it must be a time up to 1m/,
            ]),
            ['an admin that is no account', { adminUuid: 'admin' }, /^config\.adminUuid is "admin"; .*uuid/],
            ['Moray without its block', { databaseType: 'moray' }, /^config\.moray is missing; /],
            [
                'Moray without its database',
                { databaseType: 'moray', moray },
                /^config\.moray\.pg is missing; .*"pg": \{"hosts": \[.*"pg": \{"connectionString":/,
            ],
            [
                'a database without an address',
                { databaseType: 'moray', moray: { ...moray, pg: { user: 'moray' } } },
                /^config\.moray\.pg has neither "hosts" nor "connectionString"; give "pg": /,
            ],
            [
                'a database at a URL of another kind',
                { databaseType: 'moray', moray: { pg: { connectionString: 'mysql://u:geheim@h/moray' } } },
                /^config\.moray\.pg\.connectionString must be a URL such as "postgres:\/\/[^"]*"$/,
            ],
            [
                'a database with a slash in its password',
                {
                    databaseType: 'moray',
                    moray: { pg: { connectionString: 'postgres://u:geh/eim@h/moray' } },
                },
                /^config\.moray\.pg\.connectionString must name hosts (?!.*eim).* %2F /,
            ],
            [
                'a host of the database with a port out of range',
                { databaseType: 'moray', moray: { pg: { hosts: ['a:70000'] } } },
                /^config\.moray\.pg\.hosts has "a:70000", whose port is none from 1 to 65535$/,
            ],
            [
                'a database with two addresses',
                { databaseType: 'moray', moray: { pg: { connectionString: 'postgres://h', hosts: ['h'] } } },
                /^config\.moray\.pg\.hosts is given beside config\.moray\.pg\.connectionString; /,
            ],
            [
                'a host of the database that is a URL',
                { databaseType: 'moray', moray: { pg: { hosts: ['a:5432', 'tcp://b'] } } },
                /^config\.moray\.pg\.hosts\.1 is "tcp:\/\/b"; it must be a host/,
            ],
            [
                'a pool of one',
                { databaseType: 'moray', moray: { pg: { hosts: ['a'], pool: { size: 1 } } } },
                /^config\.moray\.pg\.pool\.size is 1; /,
            ],
            [
                'retry: true',
                { databaseType: 'moray', moray: { ...moray, retry: true } },
                /^config\.moray\.retry is true; it must be false, or an object/,
            ],
            ['half a workflow service', { wfapi: { url: 'x' } }, /^config\.wfapi\.workflows is missing; /],
            [
                'an unknown authType',
                { authType: 'basic' },
                /^config\.authType is "basic"; .*"none", "signature"$/,
            ],
            ['no storage', { storageTypes: [] }, /^config\.storageTypes is \[\]; .*at least one/],
            ['an unknown storage', { storageTypes: ['local', 'ftp'] }, /^config\.storageTypes\.1 is "ftp"; /],
            [
                'Manta without its block',
                { storageTypes: ['manta'] },
                /^config\.manta is missing; .*storageTypes/,
            ],
            [
                'Manta without a user',
                { manta: { ...manta, user: undefined } },
                /^config\.manta\.user is missing; /,
            ],
            ['a Manta user that is no text', { manta: { ...manta, user: 7 } }, /^config\.manta\.user is 7; /],
            [
                'a Manta URL of another protocol',
                { manta: { ...manta, url: 'ftp://manta' } },
                /^config\.manta\.url is "ftp:\/\/manta"; /,
            ],
            [
                'a Manta URL with a path',
                { manta: { ...manta, url: 'manta.example.com/joe' } },
                /^config\.manta\.url is "manta\.example\.com\/joe"; /,
            ],
            [
                'a Manta URL with credentials',
                { manta: { ...manta, url: 'https://joe:x@manta' } },
                /^config\.manta\.url is /,
            ],
            [
                'a Manta user that is a path',
                { manta: { ...manta, user: 'joe/sub' } },
                /^config\.manta\.user is "joe\/sub"; /,
            ],
            [
                'a Manta folder that leads elsewhere',
                { manta: { ...manta, baseDir: '../x' } },
                /^config\.manta\.baseDir is "\.\.\/x"; /,
            ],
            ['S3 without its block', { storageTypes: ['s3'] }, /^config\.s3 is missing; /],
            ['S3 without a bucket', { s3: {} }, /^config\.s3\.bucket is missing; /],
            ['S3 without a region', { s3: { bucket: 'images' } }, /^config\.s3\.region is missing; /],
            [
                'what cannot be a bucket',
                { s3: { ...s3, bucket: 'a/b' } },
                /^config\.s3\.bucket is "a\/b"; .*name of a bucket/,
            ],
            [
                'an S3 endpoint that is no URL',
                { s3: { ...s3, endpoint: 's3.example.com' } },
                /^config\.s3\.endpoint is "s3\.example\.com"; .*URL of http or https/,
            ],
            [
                'an S3 endpoint with a password',
                { s3: { ...s3, endpoint: 'https://me:secret@s3.example.com' } },
                /^config\.s3\.endpoint is "https:\/\/me:\*\*\*@s3\.example\.com"; .*without credentials/,
            ],
            [
                'an access key without its secret',
                { s3: { ...s3, accessKeyId: 'A' } },
                /^config\.s3\.secretAccessKey is missing; config\.s3\.accessKeyId is given/,
            ],
            [
                'a secret without its access key',
                { s3: { ...s3, secretAccessKey: 'A' } },
                /^config\.s3\.accessKeyId is missing; config\.s3\.secretAccessKey is given/,
            ],
            ...['../images', '/images', 'a//b', 'a/./b', 'a b'].map(
                (prefix): [string, Record<string, unknown>, RegExp] => [
                    `an S3 prefix ${prefix}`,
                    { s3: { ...s3, prefix } },
                    /^config\.s3\.prefix is ".*"; .*names of letters/,
                ],
            ),
            [
                'S3 parts that are too small',
                { s3: { ...s3, partSize: '4MiB' } },
                /^config\.s3\.partSize is "4MiB"; .*from 5MiB to 512MiB/,
            ],
            [
                'S3 parts that fill the memory',
                { s3: { ...s3, partSize: '5GiB' } },
                /^config\.s3\.partSize is "5GiB"; .*from 5MiB to 512MiB/,
            ],
            ...['', '/', 'a//b', 'a/../b', 'a b'].map(
                (exportPrefix): [string, Record<string, unknown>, RegExp] => [
                    `S3 with exports to "${exportPrefix}"`,
                    { s3: { ...s3, exportPrefix } },
                    /^config\.s3\.exportPrefix is ".*"; .*names of letters/,
                ],
            ),
            ...[
                ['', 'images'],
                ['', 'archive/exports'],
                ['a/b', 'a'],
                ['a/b', 'a/b/'],
                ['a/b/', 'a/b/keys/x'],
            ].map(([prefix, exportPrefix]): [string, Record<string, unknown>, RegExp] => [
                `S3 with exports to "${exportPrefix}" beside objects in "${prefix}"`,
                { s3: { ...s3, prefix, exportPrefix } },
                /^config\.s3\.exportPrefix is ".*"; it must not have to do with ".*\/", where the server keeps/,
            ]),
            ['an unknown database', { databaseType: 'mysql' }, /^config\.databaseType is "mysql"; /],
            [
                'days as text',
                { placeholderImageLifespanDays: '7' },
                /^config\.placeholderImageLifespanDays is "7"; /,
            ],
            [
                'a flag as text',
                { allowLocalCreateImageFromVm: 'no' },
                /^config\.allowLocal\w+ is "no"; .*true or false$/,
            ],
            [
                'a datacenter without a URL',
                { imgapiUrlFromDatacenter: { east: 1 } },
                /^config\.imgapiUrlFromDatacenter\.east is 1; /,
            ],
            ['an unknown level', { logLevel: 'loud' }, /^config\.logLevel is "loud"; .*trace, debug, info/],
            ['channels that are no array', { channels: {} }, /^config\.channels is \{\}; /],
            ['no channel', { channels: [] }, /^config\.channels is \[\]; .*at least one channel$/],
            [
                'a channel name in capitals',
                { channels: [{ name: 'Dev', description: '' }] },
                /^config\.channels\.0\.name is "Dev"; .*lower-case/,
            ],
            [
                'a channel without description',
                { channels: [{ name: 'dev' }] },
                /^config\.channels\.0\.description is missing/,
            ],
            [
                'a default that is no boolean',
                { channels: [{ name: 'dev', description: '', default: 'yes' }] },
                /^config\.channels\.0\.default is "yes"; /,
            ],
            [
                'two default channels',
                { channels: ['a', 'b'].map((name) => ({ name, description: '', default: true })) },
                /^config\.channels marks "a" and "b" as default; /,
            ],
            [
                'one key instead of an array',
                { authKeys: { joe: 'ssh-rsa A' } },
                /^config\.authKeys\.joe is "ssh-rsa A"; /,
            ],
            ['a key that is no text', { authKeys: { joe: [1] } }, /^config\.authKeys\.joe\.0 is 1; /],
            ['a relative folder', { dataDir: 'data' }, /^config\.dataDir is "data"; .*absolute path$/],
            [
                'a limit without unit',
                { limits: { readTimeout: '10' } },
                /^config\.limits\.readTimeout is "10"; .*unit/,
            ],
            [
                'a limit of the wrong unit',
                { limits: { jsonBytes: '10s' } },
                /^config\.limits\.jsonBytes is "10s"; /,
            ],
            [
                'a limit below its own least value',
                { limits: { uploadSilence: '500ms' } },
                /^config\.limits\.uploadSilence is "500ms"; .*1s to 24h/,
            ],
            [
                'a limit of nothing',
                { limits: { readTimeout: 0 } },
                /^config\.limits\.readTimeout is 0; .*10ms to 24h/,
            ],
            [
                'a limit below nothing',
                { limits: { headerBytes: -1 } },
                /^config\.limits\.headerBytes is -1; /,
            ],
            [
                'a limit too large',
                { limits: { headerTimeout: '25h' } },
                /^config\.limits\.headerTimeout is "25h"; /,
            ],
        ];
        for (const [title, settings, reason] of cases) {
            it(`refuses ${title}`, () => assert.match(refusal(settings), reason));
        }

        it('names the first wrong key in the documented order', () => {
            const wrong = {
                databaseType: 1,
                authType: 1,
                mode: 1,
                storageTypes: 1,
                ufds: 1,
                port: 'x',
                logLevel: 'x',
            };
            const order: string[] = [];
            let rest: Record<string, unknown> = wrong;
            while (Object.keys(rest).length > 1) {
                const key = /^config\.(\w+)/.exec(refusal(rest))?.[1] ?? '';
                order.push(key);
                rest = Object.fromEntries(Object.entries(rest).filter(([name]) => name !== key));
                if (Object.keys(rest).join() === 'ufds') {
                    break;
                }
            }
            assert.deepEqual(order, ['port', 'mode', 'authType', 'storageTypes', 'databaseType', 'logLevel']);
        });

        it('never shows a password it refuses', () => {
            const reason = refusal({
                mode: 'dc',
                datacenterName: 'e',
                ufds: { ...ufds, bindPassword: 4711 },
            });
            assert.match(reason, /^config\.ufds\.bindPassword is /);
            assert.doesNotMatch(reason, /4711/);
            for (const wrong of [
                { ufds: { ...ufds, url: 'ldap://root:4711@h' } },
                { ufds: [{ bindPassword: '4711' }] },
                { ufds: { ...ufds, retry: [{ passwort: '4711' }] } },
                { httpProxy: ['http://joe:4711@proxy'] },
                { httpProxy: 'ftp://joe:4711@proxy' },
            ]) {
                const said = refusal({ mode: 'dc', datacenterName: 'e', ufds, ...wrong });
                assert.doesNotMatch(said, /4711/, said);
            }
        });

        it('refuses to be open to other machines without authentication', () => {
            const reason = refusal({ authType: 'none', address: '0.0.0.0' });
            assert.match(
                reason,
                /config\.authType is "none".*config\.address is "0\.0\.0\.0".*permitInsecure/,
            );
            for (const address of ['127.0.0.1', '127.1.2.3', '::1', 'localhost', '::ffff:127.0.0.1']) {
                assert.equal(load({ authType: 'none', address }).address, address);
            }
            for (const address of ['::', '10.0.0.1', '::ffff:10.0.0.1', 'images.example.com']) {
                assert.match(refusal({ authType: 'none', address }), /permitInsecure/);
            }
            assert.match(refusal({ authType: 'none' }, { IMGAPI_HOST: '0.0.0.0' }), /permitInsecure/);
            assert.equal(load({ authType: 'none', address: '::', permitInsecure: true }).authType, 'none');
            assert.equal(
                load({ authType: 'none', address: '::', mode: 'dc', datacenterName: 'e', ufds }).mode,
                'dc',
            );
        });
    });

    describe('what is accepted', () => {
        it('takes a rendered datacenter configuration', () => {
            const config = load({
                '// fixed': '',
                port: 80,
                address: '0.0.0.0',
                logLevel: 'info',
                mode: 'dc',
                datacenterName: 'east',
                authType: 'none',
                databaseType: 'moray',
                httpProxy: '',
                dockerRegistryInsecure: false,
                ufds,
                moray: {
                    host: 'moray',
                    port: 2020,
                    connectTimeout: 200,
                    retry: { retries: 2, minTimeout: 500 },
                    pg: { hosts: ['10.0.0.4', '10.0.0.5:5433'], password: 'geheim' },
                },
                storageTypes: ['manta', 'local'],
                manta: { ...manta, baseDir: '', insecure: true, remote: false },
                wfapi: { url: 'http://wf', workflows: ['create-from-vm'], forceMd5Check: true },
            });
            assert.equal(config.manta?.rootDir, '/joe/stor/imgapi/east');
            assert.equal(config.moray?.pg?.pool.size, 10);
        });

        it('looks at blocks only where they are used', () => {
            assert.equal(load({ ufds: {}, moray: { host: '' } }).mode, 'public');
        });

        it('takes levels by name in any case, or by number', () => {
            assert.equal(load({ logLevel: 'WARN' }).logLevel, 'WARN');
            assert.equal(load({ logLevel: 35 }).logLevel, 35);
        });

        it('takes channels of which none is the default, though one says so explicitly', () => {
            const channels = [{ name: 'dev', description: 'd', default: false }];
            assert.deepEqual(load({ channels }).channels, channels);
        });

        it('keeps unknown keys, warns of them, and guesses what was meant', () => {
            assert.equal(load({ prot: 1 }).prot, 1);
            const [nested, ...rest] = warnings({ limits: { readTimout: 20 } });
            assert.match(nested ?? '', /config\.limits\.readTimout .*did you mean "limits\.readTimeout"\?$/);
            assert.deepEqual(rest, []);
            const [near] = warnings({ loglevel: 'info' });
            assert.match(near ?? '', /config\.loglevel .*did you mean "logLevel"\?$/);
            const [far] = warnings({ somethingElse: 1 });
            assert.match(far ?? '', /config\.somethingElse .* has no effect$/);
        });

        it('warns of a certificate that nothing is listened on with', () => {
            const tls = { certificate: '/etc/ssl/imgapi.pem' };
            const [unused] = warnings({ tls });
            assert.match(unused ?? '', /^config\.tls\.certificate has no effect .* "https"$/);
            assert.deepEqual(warnings({ tls, listen: { schemes: ['https'] } }), []);
        });

        it('does not warn of comments and of documented keys it has no use for', () => {
            assert.deepEqual(
                warnings({ '// note': 'x', fluentd_host: 'f', sapi_service: 's', docker: {} }),
                [],
            );
        });
    });

    it('takes of channels with the same name the later', () => {
        const channels = [
            { name: 'dev', description: 'one', default: true },
            { name: 'release', description: '' },
            { name: 'dev', description: 'two' },
        ];
        assert.deepEqual(load({ channels }).channels, channels.slice(1));
    });

    it('takes S3 with all there is to say of it, and with the least', () => {
        const all = {
            ...s3,
            endpoint: 'https://s3.example.com:7480',
            forcePathStyle: true,
            accessKeyId: 'A',
            secretAccessKey: 'B',
            prefix: 'imgapi/east/',
            exportPrefix: 'imgapi/exports/',
            presignRedirect: true,
            remote: true,
            partSize: '16MiB',
        };
        const config = load({ storageTypes: ['s3', 'local'], s3: all });
        const times = { connectTimeout: 5000, idleTimeout: 20_000 };
        assert.deepEqual(config.s3, { ...all, ...times, partSize: 16 * 1024 ** 2 });
        assert.deepEqual(load({ storageTypes: ['s3'], s3: { ...s3, prefix: '' } }).s3, {
            ...s3,
            prefix: '',
            ...times,
            partSize: 8 * 1024 ** 2,
        });
    });

    it('gives the directory of accounts its times', () => {
        const block = { ...ufds, retry: { maxDelay: '5s' }, clientTimeout: 700, idleTimeout: 90_000 };
        const dc = load({ mode: 'dc', datacenterName: 'e', ufds: block });
        assert.deepEqual(dc.ufds, { ...block, connectTimeout: 4000, retry: { maxDelay: 5000 }, cache: 0 });
        assert.deepEqual(load({ mode: 'dc', datacenterName: 'e', ufds }).ufds?.retry, {});
        // An object is what the original's own client takes, and was without effect.
        for (const [given, cache] of [
            ['60s', 60_000],
            [1500, 1500],
            [0, 0],
            [false, 0],
            [{ size: 5000, expiry: 60 }, 0],
        ] as const) {
            const asked = load({ mode: 'dc', datacenterName: 'e', ufds: { ...ufds, cache: given } });
            assert.equal(asked.ufds?.cache, cache);
        }
    });

    it('is described key by key in the operator guide, and so is the command line', () => {
        const guide = readFileSync(join(__dirname, '../../docs/operator-guide.md'), 'utf8');
        const tables = guide.match(/(?:^\|.*\n)+/gm) ?? [];
        const { used, reserved } = configTables();
        // To be renewed with: node tools/config-table.js, node tools/option-table.js
        for (const expected of [used, reserved, optionTable()]) {
            const heading = expected.split('\n').slice(0, 3).join('\n');
            const written = tables.find((table) => table.startsWith(heading));
            assert.deepEqual(written?.trimEnd().split('\n'), expected.split('\n'));
        }
    });
});
