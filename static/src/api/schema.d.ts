// Made by tools/types.js from the OpenAPI document of the admin API.

export type paths = Record<string, never>;
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        Abandoned: {
            /** Format: uuid */
            app_id: string;
            /** Format: date-time */
            created_at: string;
            /** Format: uuid */
            execution_id: string;
            /** Format: uuid */
            id: string;
            result_summary: string;
            /** Format: uuid */
            script_id: string;
            status_code: number;
        };
        Accepted: {
            /** Format: date-time */
            accepted_at: string;
            /** Format: uuid */
            execution_id: string;
            status_url: string;
        };
        App: {
            /** Format: date-time */
            created_at: string;
            description: string;
            /** Format: uuid */
            id: string;
            /** @enum {string} */
            my_role: "viewer" | "editor" | "app_admin";
            name: string;
            slug: string;
            unresolved_dead_letters: number;
            /** Format: date-time */
            updated_at: string;
        };
        AppInput: {
            description?: string;
            name?: string;
            slug: string;
        };
        AppPatch: {
            description?: string;
            name?: string;
            slug?: string;
        };
        Attempt: {
            /** Format: date-time */
            at: string;
            duration_ms: number;
            error: string;
            /** Format: uuid */
            execution_id: string;
        };
        AuditEntry: {
            action: string;
            address: string;
            /** Format: uuid */
            app_id: string | null;
            /** Format: date-time */
            at: string;
            detail: string;
            /** Format: uuid */
            id: string;
            /** Format: uuid */
            key_id: string | null;
            resource: string;
            /** Format: uuid */
            user_id: string | null;
            username: string;
        };
        CauseWear: {
            /** Format: uuid */
            app_id: string;
            bytes: number;
            fsyncs: number;
            logs_bytes: number;
            name: string;
            /** Format: uuid */
            script_id: string;
            state_bytes: number;
            /** Format: uuid */
            trigger_id: string | null;
        };
        Change: {
            action: string;
            by_hand: boolean;
            fields?: string[];
            function: string;
            name: string;
            what: string;
        };
        Collection: {
            collection: string;
            keys: number;
        };
        Count: {
            count: number;
        };
        CronTriggerInput: {
            /** @enum {string} */
            catch_up?: "none" | "last" | "all";
            /** @enum {string} */
            dispatch_mode?: "sync" | "async";
            enabled?: boolean;
            max_lateness_seconds?: number;
            /** @enum {string} */
            retry_backoff?: "exponential" | "linear" | "constant";
            retry_base_ms?: number;
            retry_max_attempts?: number;
            schedule: string;
            /** Format: uuid */
            script_id: string;
            timezone?: string;
        };
        DeadLetter: {
            /** Format: uuid */
            app_id: string;
            attempt_count: number;
            attempts: components["schemas"]["Attempt"][];
            /** Format: date-time */
            created_at: string;
            depth: number;
            /** Format: date-time */
            first_attempt_at: string;
            /** Format: uuid */
            id: string;
            /** Format: date-time */
            last_attempt_at: string;
            last_error: string;
            op: string;
            /** Format: uuid */
            original_event_id: string;
            payload: unknown;
            reason?: string;
            resolution?: string;
            /** Format: date-time */
            resolved_at: string | null;
            /** Format: uuid */
            root_execution_id: string;
            /** Format: uuid */
            script_id: string;
            source: string;
            /** Format: uuid */
            trigger_id: string | null;
        };
        DeadLetterCount: {
            unresolved: number;
        };
        DeadLetterFilter: {
            ids?: string[];
            /** Format: uuid */
            script_id?: string;
            source?: string;
            /** Format: uuid */
            trigger_id?: string;
            unresolved?: boolean;
        };
        DeadLetterList: {
            dead_letters: components["schemas"]["DeadLetter"][];
            next_cursor: string | null;
        };
        DeadLetterTriggerInput: {
            enabled?: boolean;
            /** Format: uuid */
            script_id: string;
            /** Format: uuid */
            script_id_filter?: string;
            source_filter?: string;
            /** Format: uuid */
            trigger_id_filter?: string;
        };
        Deployment: {
            /** Format: date-time */
            created_at: string;
            functions: string[];
            note: string;
            number: number;
            restores: number;
            /** Format: uuid */
            user_id: string | null;
            username: string;
        };
        Domain: {
            /** Format: uuid */
            app_id: string;
            /** Format: date-time */
            created_at: string;
            host: string;
            /** Format: uuid */
            id: string;
            kind: string;
        };
        DomainInput: {
            host: string;
            kind?: string;
        };
        Error: {
            error: {
                code: string;
                message: string;
            };
            /** Format: uuid */
            execution_id?: string;
        };
        ExecuteInput: {
            body?: unknown;
            headers?: {
                [key: string]: string;
            };
            method?: string;
            params?: {
                [key: string]: string;
            };
            path?: string;
        };
        Execution: {
            /** Format: uuid */
            app_id: string;
            attempt: number;
            /** Format: uuid */
            dead_letter_id?: string;
            depth: number;
            duration_ms: number;
            error: components["schemas"]["Trace"] | null;
            /** Format: uuid */
            event_id: string | null;
            /** Format: date-time */
            finished_at: string | null;
            /** Format: uuid */
            id: string;
            logs: components["schemas"]["LogLine"][];
            /** Format: date-time */
            next_attempt_at?: string;
            op: string;
            /** Format: uuid */
            parent_execution_id: string | null;
            request: unknown;
            reruns: number;
            response_summary: string;
            /** Format: uuid */
            root_execution_id: string;
            /** Format: uuid */
            script_id: string;
            script_version: number;
            source: string;
            /** Format: date-time */
            started_at: string | null;
            /** @enum {string} */
            status: "queued" | "running" | "success" | "error" | "timeout" | "budget" | "conflict" | "dead";
            status_code: number;
            /** Format: uuid */
            trigger_id: string | null;
        };
        FileWear: {
            checkpoint_bytes: number;
            checkpoint_fsyncs: number;
            commit_bytes: number;
            commit_fsyncs: number;
            file: string;
        };
        FunctionInput: {
            description?: string;
            /** @enum {string} */
            engine?: "quickjs" | "otto";
            file?: string;
            /** @enum {string} */
            isolation?: "warm" | "fresh";
            kind?: string;
            limits?: components["schemas"]["LimitsInput"];
            name: string;
            routes?: components["schemas"]["RouteInput"][];
            source: string;
            timeout_seconds?: number;
            triggers?: unknown[];
        };
        HostState: {
            failures: number;
            host: string;
            last_error: string;
            /** Format: date-time */
            next_try_at: string;
            open: boolean;
        };
        Identity: {
            /** Format: uuid */
            app_id?: string;
            /** Format: date-time */
            created_at: string;
            /** Format: uuid */
            id: string;
            /** @enum {string} */
            instance_role: "owner" | "admin" | "member";
            is_active: boolean;
            roles: {
                [key: string]: "viewer" | "editor" | "app_admin";
            };
            scopes?: ("script:read" | "script:write" | "route:write" | "domain:manage" | "app:admin" | "log:read" | "instance:admin")[];
            username: string;
            via: string;
        };
        ImportAnswer: {
            app: components["schemas"]["App"] | null;
            rows: {
                [key: string]: number;
            };
            skipped: string[];
        };
        Item: {
            bytes: number;
            /** Format: date-time */
            expires_at: string | null;
            key: string;
            /** Format: date-time */
            updated_at: string;
        };
        Key: {
            /** Format: uuid */
            app_id: string | null;
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            expires_at: string | null;
            /** Format: uuid */
            id: string;
            /** Format: date-time */
            last_used_at: string | null;
            name: string;
            prefix: string;
            scopes: ("script:read" | "script:write" | "route:write" | "domain:manage" | "app:admin" | "log:read" | "instance:admin")[];
            /** Format: uuid */
            user_id: string;
        };
        KeyInput: {
            app?: string;
            /** Format: date-time */
            expires_at?: string;
            name: string;
            scopes: ("script:read" | "script:write" | "route:write" | "domain:manage" | "app:admin" | "log:read" | "instance:admin")[];
        };
        KvInput: {
            ttl_seconds?: number;
            value: unknown;
        };
        KvTriggerInput: {
            collection_glob: string;
            /** @enum {string} */
            dispatch_mode?: "sync" | "async";
            enabled?: boolean;
            ops?: string[];
            /** @enum {string} */
            retry_backoff?: "exponential" | "linear" | "constant";
            retry_base_ms?: number;
            retry_max_attempts?: number;
            /** Format: uuid */
            script_id: string;
        };
        Limits: {
            log_bytes?: number;
            log_lines?: number;
            memory_bytes?: number;
            operations?: number;
            output_bytes?: number;
            stack_bytes?: number;
            write_bytes?: number;
            writes?: number;
        };
        LimitsInput: {
            log_bytes?: number;
            log_lines?: number;
            memory_bytes?: number;
            operations?: number;
            output_bytes?: number;
            stack_bytes?: number;
            write_bytes?: number;
            writes?: number;
        };
        Link: {
            /** Format: uuid */
            app_id: string;
            attempt: number;
            children: components["schemas"]["Link"][];
            /** Format: uuid */
            dead_letter_id?: string;
            depth: number;
            duration_ms: number;
            error: components["schemas"]["Trace"] | null;
            /** Format: uuid */
            event_id: string | null;
            /** Format: date-time */
            finished_at: string | null;
            /** Format: uuid */
            id: string;
            logs: components["schemas"]["LogLine"][];
            /** Format: date-time */
            next_attempt_at?: string;
            op: string;
            /** Format: uuid */
            parent_execution_id: string | null;
            request: unknown;
            reruns: number;
            response_summary: string;
            /** Format: uuid */
            root_execution_id: string;
            /** Format: uuid */
            script_id: string;
            script_version: number;
            source: string;
            /** Format: date-time */
            started_at: string | null;
            /** @enum {string} */
            status: "queued" | "running" | "success" | "error" | "timeout" | "budget" | "conflict" | "dead";
            status_code: number;
            /** Format: uuid */
            trigger_id: string | null;
        };
        LoginInput: {
            password: string;
            username: string;
        };
        LogLine: {
            /** Format: date-time */
            at: string;
            fields?: unknown;
            /** @enum {string} */
            level: "debug" | "info" | "warn" | "error";
            message: string;
            script?: string;
        };
        Match: {
            params: {
                [key: string]: string;
            };
            path: string;
            rest: string;
            route: components["schemas"]["Route"] | null;
        };
        MatchAnswer: {
            allow: string[];
            match: components["schemas"]["Match"] | null;
            reason: string;
            status: number;
        };
        MemberInput: {
            /** @enum {string} */
            role: "viewer" | "editor" | "app_admin";
        };
        Membership: {
            /** Format: date-time */
            created_at: string;
            /** @enum {string} */
            role: "viewer" | "editor" | "app_admin";
            /** Format: uuid */
            user_id: string;
            username: string;
        };
        MessageInput: {
            body?: unknown;
            deduplication_id?: string;
            delay_seconds?: number;
            key?: string;
            message?: unknown;
        };
        NewKey: {
            /** Format: uuid */
            app_id: string | null;
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            expires_at: string | null;
            /** Format: uuid */
            id: string;
            key: string;
            /** Format: date-time */
            last_used_at: string | null;
            name: string;
            prefix: string;
            scopes: ("script:read" | "script:write" | "route:write" | "domain:manage" | "app:admin" | "log:read" | "instance:admin")[];
            /** Format: uuid */
            user_id: string;
        };
        OutboundRules: {
            allow: string[];
        };
        OutboundRulesInput: {
            allow: string[];
        };
        OutboundState: {
            allow: string[];
            failing: components["schemas"]["HostState"][];
        };
        Outcome: {
            by_hand: components["schemas"]["Change"][];
            changes: components["schemas"]["Change"][];
            number: number;
        };
        PasswordInput: {
            current: string;
            new: string;
        };
        ProjectInput: {
            functions: components["schemas"]["FunctionInput"][];
            note?: string;
            prune?: boolean;
        };
        PublishAnswer: {
            /** Format: date-time */
            published_at: string;
            topic: string;
        };
        PublishInput: {
            message: unknown;
        };
        PubsubTriggerInput: {
            /** @enum {string} */
            dispatch_mode?: "sync" | "async";
            enabled?: boolean;
            /** @enum {string} */
            retry_backoff?: "exponential" | "linear" | "constant";
            retry_base_ms?: number;
            retry_max_attempts?: number;
            /** Format: uuid */
            script_id: string;
            topic: string;
        };
        Queue: {
            delayed: number;
            in_flight: number;
            length: number;
            name: string;
            /** Format: date-time */
            oldest_at: string;
            paused: boolean;
            /** Format: uuid */
            trigger_id: string | null;
        };
        QueueMessage: {
            attempt_count: number;
            attempts: components["schemas"]["Attempt"][];
            body: unknown;
            /** Format: date-time */
            enqueued_at: string;
            /** Format: uuid */
            id: string;
            key?: string;
            /** Format: date-time */
            next_attempt_at: string;
            queue: string;
            state: string;
        };
        QueueTriggerInput: {
            batch_size?: number;
            concurrency?: number;
            /** @enum {string} */
            dispatch_mode?: "sync" | "async";
            enabled?: boolean;
            queue: string;
            /** @enum {string} */
            retry_backoff?: "exponential" | "linear" | "constant";
            retry_base_ms?: number;
            retry_max_attempts?: number;
            /** Format: uuid */
            script_id: string;
            visibility_timeout_seconds?: number;
        };
        Quotas: {
            concurrent_executions: number;
            executions_per_minute: number;
            kv_bytes: number;
            outbox_rows: number;
        };
        QuotasInput: {
            concurrent_executions?: number;
            executions_per_minute?: number;
            kv_bytes?: number;
            outbox_rows?: number;
        };
        ReasonInput: {
            reason?: string;
        };
        Record: {
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            expires_at: string | null;
            key: string;
            /** Format: date-time */
            updated_at: string;
            value: unknown;
        };
        ReplayManyInput: {
            filter?: components["schemas"]["DeadLetterFilter"];
        };
        ResolveManyInput: {
            filter?: components["schemas"]["DeadLetterFilter"];
            reason?: string;
        };
        RestorePoint: {
            /** Format: date-time */
            at: string;
            bytes: number;
            level: number;
            txid: string;
        };
        RewindInput: {
            skip_taken?: boolean;
            /** Format: date-time */
            timestamp: string;
        };
        Rewound: {
            applied: boolean;
            changes: components["schemas"]["TableChange"][];
            skipped: string[];
            /** Format: date-time */
            state_of: string;
        };
        RollbackAppInput: {
            number?: number;
        };
        RollbackInput: {
            version: number;
        };
        Route: {
            /** Format: uuid */
            app_id: string;
            /** Format: date-time */
            created_at: string;
            /** @enum {string} */
            dispatch_mode: "sync" | "async";
            host?: string;
            /** @enum {string} */
            host_kind: "any" | "exact" | "wildcard";
            host_param_name?: string;
            /** Format: uuid */
            id: string;
            method?: string;
            path: string;
            /** @enum {string} */
            path_kind: "exact" | "param" | "prefix";
            /** Format: uuid */
            script_id: string;
        };
        RouteInput: {
            /** @enum {string} */
            dispatch_mode?: "sync" | "async";
            host?: string;
            /** @enum {string} */
            host_kind?: "any" | "exact" | "wildcard";
            host_param_name?: string;
            method?: string;
            path: string;
            /** @enum {string} */
            path_kind?: "exact" | "param" | "prefix";
        };
        Row: {
            /** Format: uuid */
            app_id: string;
            attempt_count: number;
            attempts: components["schemas"]["Attempt"][];
            /** Format: date-time */
            claimed_at: string | null;
            /** Format: date-time */
            created_at: string;
            depth: number;
            /** Format: uuid */
            id: string;
            key?: string;
            lane?: string;
            /** Format: date-time */
            lease_until: string | null;
            /** Format: date-time */
            next_attempt_at: string;
            op: string;
            /** Format: uuid */
            root_execution_id: string;
            /** Format: uuid */
            script_id: string;
            source: string;
            state: string;
            /** Format: uuid */
            trigger_id: string | null;
        };
        Script: {
            /** Format: uuid */
            app_id: string;
            /** Format: date-time */
            created_at: string;
            description: string;
            /** @enum {string} */
            engine: "quickjs" | "otto";
            /** Format: uuid */
            id: string;
            /** @enum {string} */
            isolation: "warm" | "fresh";
            kind: string;
            limits: components["schemas"]["Limits"];
            name: string;
            source: string;
            timeout_seconds: number;
            /** Format: date-time */
            updated_at: string;
            version: number;
        };
        ScriptInput: {
            description?: string;
            /** @enum {string} */
            engine?: "quickjs" | "otto";
            /** @enum {string} */
            isolation?: "warm" | "fresh";
            kind?: string;
            limits?: components["schemas"]["LimitsInput"];
            name: string;
            source: string;
            timeout_seconds?: number;
        };
        ScriptPatch: {
            description?: string;
            engine?: string;
            isolation?: string;
            kind?: string;
            limits?: components["schemas"]["LimitsInput"];
            name?: string;
            source?: string;
            timeout_seconds?: number;
        };
        ScriptVersion: {
            /** Format: date-time */
            created_at: string;
            /** @enum {string} */
            engine: "quickjs" | "otto";
            /** Format: uuid */
            saved_by: string | null;
            source: string;
            version: number;
        };
        Secret: {
            name: string;
            /** Format: date-time */
            updated_at: string;
        };
        SecretInput: {
            value: string;
        };
        SentMessage: {
            duplicate: boolean;
            /** Format: uuid */
            id: string;
            queue: string;
        };
        Session: {
            address: string;
            /** Format: date-time */
            created_at: string;
            current: boolean;
            /** Format: date-time */
            expires_at: string | null;
            /** Format: uuid */
            id: string;
            /** Format: date-time */
            last_used_at: string | null;
            user_agent: string;
            /** Format: uuid */
            user_id: string;
        };
        SetupInput: {
            password: string;
            token: string;
            username: string;
        };
        SetupState: {
            needed: boolean;
        };
        System: {
            cpus: number;
            db: components["schemas"]["SystemDatabase"];
            durability: string;
            engines: string[];
            gate: components["schemas"]["SystemGate"];
            go_version: string;
            goroutines: number;
            memory_bytes: number;
            outbox: components["schemas"]["SystemOutbox"];
            platform: string;
            replication: components["schemas"]["SystemReplication"];
            /** Format: date-time */
            started_at: string | null;
            uptime_seconds: number;
            version: components["schemas"]["Version"];
            warnings: string[];
            wear: components["schemas"]["SystemWear"];
        };
        SystemDatabase: {
            disk_free_bytes: number;
            disk_size_bytes: number;
            logs_bytes: number;
            state_bytes: number;
            wal_bytes: number;
        };
        SystemGate: {
            capacity: number;
            in_use: number;
            waiting: number;
        };
        SystemLease: {
            /** Format: date-time */
            expires_at: string | null;
            held: boolean;
            owner: string;
            supported: boolean;
        };
        SystemOutbox: {
            oldest_due_seconds: number;
            retrying: number;
            running: number;
            unresolved_dead_letters: number;
            waiting: number;
        };
        SystemReplication: {
            lag_seconds: number;
            last_error: string;
            /** Format: date-time */
            last_error_at: string;
            /** Format: date-time */
            last_sync_at: string | null;
            lease: components["schemas"]["SystemLease"];
            reason: string;
            staged_bytes: number;
            staged_files: number;
            state: string;
            target: string;
            target_txid: string;
            txid: string;
            verification: components["schemas"]["Verification"] | null;
            verifying: boolean;
        };
        SystemWear: {
            apps: components["schemas"]["CauseWear"][];
            bytes: number;
            bytes_per_hour: number;
            files: components["schemas"]["FileWear"][];
            fsyncs: number;
            scripts: components["schemas"]["CauseWear"][];
            triggers: components["schemas"]["CauseWear"][];
        };
        TableChange: {
            added: number;
            changed: number;
            names: string[];
            now: number;
            removed: number;
            table: string;
            then: number;
        };
        TableRows: {
            rows: number;
            table: string;
        };
        Topic: {
            /** @enum {string} */
            auth_mode: "public" | "token";
            /** Format: date-time */
            created_at: string;
            external_subscribable: boolean;
            topic: string;
            /** Format: date-time */
            updated_at: string;
        };
        TopicInput: {
            /** @enum {string} */
            auth_mode?: "public" | "token";
            external_subscribable: boolean;
        };
        Trace: {
            column?: number;
            file?: string;
            line?: number;
            message: string;
            stack: string;
        };
        Trigger: {
            /** Format: uuid */
            app_id: string;
            batch_size?: number;
            /** @enum {string} */
            catch_up?: "none" | "last" | "all";
            collection_glob?: string;
            concurrency?: number;
            /** Format: date-time */
            created_at: string;
            details: components["schemas"]["TriggerDetails"];
            /** @enum {string} */
            dispatch_mode: "sync" | "async";
            enabled: boolean;
            /** Format: uuid */
            id: string;
            kind: string;
            max_lateness_seconds?: number;
            next_runs?: string[];
            ops?: string[];
            queue?: string;
            /** Format: uuid */
            registered_by_principal: string;
            /** @enum {string} */
            retry_backoff: "exponential" | "linear" | "constant";
            retry_base_ms: number;
            retry_max_attempts: number;
            schedule?: string;
            /** Format: uuid */
            script_id: string;
            /** Format: uuid */
            script_id_filter?: string | null;
            source_filter?: string;
            timezone?: string;
            topic?: string;
            /** Format: uuid */
            trigger_id_filter?: string | null;
            /** Format: date-time */
            updated_at: string;
            visibility_timeout_seconds?: number;
        };
        TriggerDetails: {
            batch_size?: number;
            /** @enum {string} */
            catch_up?: "none" | "last" | "all";
            collection_glob?: string;
            concurrency?: number;
            kind: string;
            max_lateness_seconds?: number;
            next_runs?: string[];
            ops?: string[];
            queue?: string;
            schedule?: string;
            /** Format: uuid */
            script_id_filter?: string | null;
            source_filter?: string;
            timezone?: string;
            topic?: string;
            /** Format: uuid */
            trigger_id_filter?: string | null;
            visibility_timeout_seconds?: number;
        };
        TriggerList: {
            next_cursor: string | null;
            triggers: components["schemas"]["Trigger"][];
        };
        TriggerPatch: {
            batch_size?: number;
            catch_up?: string;
            collection_glob?: string;
            concurrency?: number;
            dispatch_mode?: string;
            enabled?: boolean;
            max_lateness_seconds?: number;
            ops?: string[];
            queue?: string;
            retry_backoff?: string;
            retry_base_ms?: number;
            retry_max_attempts?: number;
            schedule?: string;
            /** Format: uuid */
            script_id?: string;
            /** Format: uuid */
            script_id_filter?: string;
            source_filter?: string;
            timezone?: string;
            topic?: string;
            /** Format: uuid */
            trigger_id_filter?: string;
            visibility_timeout_seconds?: number;
        };
        User: {
            /** Format: date-time */
            created_at: string;
            /** Format: uuid */
            id: string;
            /** @enum {string} */
            instance_role: "owner" | "admin" | "member";
            is_active: boolean;
            username: string;
        };
        UserInput: {
            /** @enum {string} */
            instance_role?: "owner" | "admin" | "member";
            password: string;
            username: string;
        };
        UserPatch: {
            /** @enum {string} */
            instance_role?: "owner" | "admin" | "member";
            is_active?: boolean;
            password?: string;
            username?: string;
        };
        Verification: {
            /** Format: date-time */
            at: string;
            bytes_read: number;
            error: string;
            ok: boolean;
            rows: number;
            seconds: number;
            /** Format: date-time */
            state_of: string;
            tables: components["schemas"]["TableRows"][];
            txid: string;
        };
        Version: {
            api: number;
            commit: string;
            product: string;
            schema: number;
            sdk: string;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export type operations = Record<string, never>;
