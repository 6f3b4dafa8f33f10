import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import Ajv2020 from 'ajv/dist/2020';
import { errorTable } from '../../lib/errors';
import { renderImage } from '../../lib/images/serialize';
import { routes } from '../../lib/routes';
import { generatedFiles } from '../../tools/gen';
import { openApi } from '../../lib/reference/openapi';
import { schemas } from '../../lib/reference/schemas';
import { VERSION } from '../../lib/version';
import { testImage } from '../support/images';

interface Reference {
    $ref: string;
}
interface ParameterObject {
    name: string;
    in: string;
    required?: boolean;
    schema: object;
}
interface OperationObject {
    operationId: string;
    summary: string;
    parameters: (ParameterObject | Reference)[];
    responses: Record<string, { description: string }>;
}
interface Document {
    openapi: string;
    info: { title: string; version: string };
    paths: Record<string, Record<string, OperationObject>>;
}

const root = join(__dirname, '../..');

describe('docs/reference', () => {
    const files = generatedFiles();

    for (const [path, content] of files) {
        it(`has ${path} as npm run gen writes it`, () => {
            const found = readFileSync(join(root, path), 'utf8');
            assert.ok(
                found === content,
                `${path} is out of date: run npm run gen and commit what it writes.`,
            );
        });
    }

    it('is the same whenever it is made', () => {
        assert.deepEqual(generatedFiles(), files);
    });

    it('describes every error code once, and no other', () => {
        const page = files.get('docs/reference/errors.md') ?? '';
        const described = [...page.matchAll(/^\| `(\w+)` \|/gm)].map(([, code]) => code).sort();
        assert.deepEqual(described, Object.keys(errorTable).sort());
    });

    it('describes every route once, and its parameters', () => {
        const page = files.get('docs/reference/endpoints.md') ?? '';
        const sections = page.split(/^## /m).slice(1);
        assert.deepEqual(
            sections.map((section) => section.split('\n', 1)[0]),
            routes.map(({ name }) => name),
        );
        for (const [index, { parameters, errors }] of routes.entries()) {
            for (const { name } of parameters.filter((parameter) => parameter.name !== 'action')) {
                assert.ok(sections[index]?.includes(`| \`${name}\` |`), `${name} is not described`);
            }
            for (const code of errors) {
                assert.ok(page.includes(`\`${code}\``), `${code} is not listed`);
            }
        }
    });
});

describe('docs/reference/openapi.json', () => {
    const document = openApi({ routes, version: VERSION }) as unknown as Document;
    const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
        Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
    );

    it('is OpenAPI 3.1 with unique operations that all have answers', () => {
        assert.match(document.openapi, /^3\.1\.\d$/);
        assert.ok(document.info.title && document.info.version);
        const ids = operations.map(({ operation }) => operation.operationId);
        assert.equal(new Set(ids).size, ids.length);
        for (const { operation } of operations) {
            const statuses = Object.keys(operation.responses);
            assert.ok(
                statuses.some((status) => /^[23]\d\d$/.test(status)),
                operation.operationId,
            );
            assert.ok(
                statuses.every((status) => /^[1-5]\d\d$/.test(status)),
                operation.operationId,
            );
            assert.ok(Object.values(operation.responses).every(({ description }) => description !== ''));
            assert.notEqual(operation.summary, '');
        }
    });

    it('has the method and path of every route', () => {
        const described = new Set(operations.map(({ method, path }) => `${method} ${path}`));
        const wanted = new Set(
            routes.map(({ method, path }) => `${method.toLowerCase()} ${path.replace(/:(\w+)/, '{$1}')}`),
        );
        assert.deepEqual([...described].sort(), [...wanted].sort());
    });

    it('declares each parameter once, those of the path as required', () => {
        for (const { path, operation } of operations) {
            const parameters = operation.parameters.filter((one) => 'name' in one);
            const names = parameters.map((one) => `${one.in} ${one.name}`);
            assert.equal(new Set(names).size, names.length, operation.operationId);
            const inPath = parameters.filter((one) => one.in === 'path');
            assert.deepEqual(
                inPath.map(({ name }) => name),
                [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name),
            );
            assert.ok(inPath.every(({ required }) => required === true));
        }
    });

    it('has no reference that leads nowhere', () => {
        const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)];
        assert.ok(references.length > 0);
        for (const [, pointer = ''] of references) {
            const found = pointer
                .split('/')
                .reduce<unknown>(
                    (value, key) => (value as Record<string, unknown> | undefined)?.[key],
                    document,
                );
            assert.ok(found !== undefined, pointer);
        }
    });

    describe('schemas', () => {
        const ajv = new Ajv2020({ keywords: ['components'], strictTypes: false, validateFormats: false });
        ajv.addSchema({ $id: 'document', components: { schemas } });
        const validator = (name: string) => ajv.compile({ $ref: `document#/components/schemas/${name}` });

        it('are JSON Schemas', () => {
            Object.keys(schemas).forEach(validator);
        });

        it('hold for a manifest as it is served, and not for less', () => {
            const valid = validator('Manifest');
            const file = { sha1: 'a'.repeat(40), size: 1, stor: 'local' as const, compression: 'gzip' };
            const raw = testImage(1, {
                files: [file],
                tagsObj: { role: 'web' },
                requirements: { min_ram: 64 },
                users: [{ name: 'root' }],
                icon: { size: 1, contentType: 'image/png', contentMD5: 'x' },
                image_size: 10240,
            });
            const { body } = renderImage(raw, { mode: 'dc', channels: true, adminFields: true });
            const manifest = JSON.parse(body.toString()) as Record<string, unknown>;
            assert.ok(valid(manifest), JSON.stringify(valid.errors));
            assert.ok(!valid({ ...manifest, uuid: undefined, state: 'gone' }));
            const undescribed = Object.keys(manifest).filter(
                (key) => !Object.hasOwn((schemas.Manifest as { properties: object }).properties, key),
            );
            assert.deepEqual(undescribed, []);
        });
    });
});
