/** The files of sapi_manifests as config-agent makes them, with the template engine that it uses. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import hogan from 'hogan.js';

const FOLDER = resolve(__dirname, '../../sapi_manifests');

export interface SapiManifest {
    name: string;
    path: string;
    post_cmd?: string;
}

export function readManifest(name: string): SapiManifest {
    return JSON.parse(readFileSync(join(FOLDER, name, 'manifest.json'), 'utf8')) as SapiManifest;
}

export function renderManifest(name: string, metadata: Record<string, unknown>): string {
    return hogan.compile(readFileSync(join(FOLDER, name, 'template'), 'utf8')).render(metadata);
}

/** What config-agent knows in an instance without Manta, from the application, the service and the zone (config.md §9). */
export const PLAIN_METADATA: Readonly<Record<string, unknown>> = {
    datacenter_name: 'us-test-1',
    dns_domain: 'example.com',
    SERVICE_NAME: 'imgapi',
    auto: {
        ZONENAME: '5b7f9c4e-4b8c-4f52-9a0c-3c2a0b1d2e3f',
        SERVER_UUID: '44454c4c-4400-1046-8050-b5c04f383432',
        ADMIN_IP: '10.99.99.21',
    },
    ufds_admin_uuid: '930896af-bf8c-48d4-885c-6573a94b1853',
    ufds_admin_login: 'admin',
    ufds_ldap_root_dn: 'cn=root',
    ufds_ldap_root_pw: 'secret',
    UFDS_SERVICE: 'ufds.us-test-1.example.com',
    MORAY_SERVICE: '1.moray.us-test-1.example.com',
    WORKFLOW_SERVICE: 'workflow.us-test-1.example.com',
    CNAPI_SERVICE: 'cnapi.us-test-1.example.com',
    VMAPI_SERVICE: 'vmapi.us-test-1.example.com',
    NAPI_SERVICE: 'napi.us-test-1.example.com',
    SAPI_SERVICE: 'sapi.us-test-1.example.com',
    // Where PostgreSQL is: the one thing that nobody else in the datacenter needs to know.
    IMGAPI_PG_URL: 'postgres://moray:p%22w@10.0.0.5:5432,10.0.0.6:5432/moray?sslmode=require',
};
