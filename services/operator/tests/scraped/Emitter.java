import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import com.zaxxer.hikari.metrics.micrometer.MicrometerMetricsTrackerFactory;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A pool of ten, by HikariCP, with its metrics by Micrometer as Spring Boot serves them. GET /callers?N lets so many callers use it,
 * each a connection for 50 ms, again and again.
 */
public class Emitter {
    static final AtomicInteger wanted = new AtomicInteger();

    public static void main(String[] arguments) throws IOException {
        var registry = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
        var config = new HikariConfig();
        config.setJdbcUrl("jdbc:h2:mem:it");
        config.setMaximumPoolSize(10);
        config.setMetricsTrackerFactory(new MicrometerMetricsTrackerFactory(registry));
        var pool = new HikariDataSource(config);
        for (int number = 0; number < 64; number++) {
            int own = number;
            Thread caller = new Thread(() -> calls(pool, own));
            caller.setDaemon(true);
            caller.start();
        }
        var server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/actuator/prometheus", exchange -> answer(exchange, registry.scrape()));
        server.createContext("/callers", exchange -> {
            wanted.set(Integer.parseInt(exchange.getRequestURI().getQuery()));
            answer(exchange, "");
        });
        server.start();
        System.out.println("serves on port " + server.getAddress().getPort());
    }

    static void calls(HikariDataSource pool, int number) {
        while (true) {
            try {
                if (number >= wanted.get()) {
                    Thread.sleep(20);
                    continue;
                }
                try (Connection connection = pool.getConnection()) {
                    Thread.sleep(50);
                }
            } catch (Exception error) {
                // A time-out is counted by the pool.
            }
        }
    }

    static void answer(HttpExchange exchange, String text) throws IOException {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().add("Content-Type", "text/plain;version=0.0.4;charset=utf-8");
        exchange.sendResponseHeaders(200, bytes.length == 0 ? -1 : bytes.length);
        exchange.getResponseBody().write(bytes);
        exchange.close();
    }
}
