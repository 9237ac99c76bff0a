// java Client.java PORT: java.net.http as a client; its first request offers an upgrade to HTTP/2. Lines as client.js.
import java.io.ByteArrayInputStream;
import java.net.URI;
import java.net.http.*;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.Callable;

public class Client {
    static String base;
    static final HttpClient CLIENT = HttpClient.newBuilder().followRedirects(HttpClient.Redirect.NORMAL).build();

    static HttpRequest.Builder to(String path) { return HttpRequest.newBuilder(URI.create(base + path)).timeout(Duration.ofSeconds(30)); }
    static HttpResponse<String> send(HttpRequest.Builder request) throws Exception { return CLIENT.send(request.build(), BodyHandlers.ofString()); }

    public static void main(String[] args) throws Exception {
        base = "http://127.0.0.1:" + args[0];
        byte[] million = new byte[1_000_000], much = new byte[30_000_000];
        Map<String, Callable<Boolean>> tests = new LinkedHashMap<>();
        tests.put("GET_with_Upgrade_h2c", () -> send(to("/p/0")).body().equals("path=/p/0\n"));
        tests.put("50_GETs_at_once", () -> {
            var all = new ArrayList<java.util.concurrent.CompletableFuture<HttpResponse<String>>>();
            for (int n = 0; n < 50; n++) all.add(CLIENT.sendAsync(to("/p/" + n).build(), BodyHandlers.ofString()));
            boolean good = true;
            for (int n = 0; n < 50; n++) good &= all.get(n).get().body().equals("path=/p/" + n + "\n");
            return good;
        });
        tests.put("HEAD", () -> send(to("/p/1").method("HEAD", BodyPublishers.noBody())).statusCode() == 200);
        tests.put("POST_with_Upgrade_h2c", () -> HttpClient.newHttpClient().send(to("/sum").POST(BodyPublishers.ofByteArray(million)).build(), BodyHandlers.ofString()).body().startsWith("1000000 "));
        tests.put("chunked_POST", () -> send(to("/sum").POST(BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(million)))).body().startsWith("1000000 "));
        tests.put("Expect_100", () -> send(to("/sum").expectContinue(true).POST(BodyPublishers.ofByteArray(million))).body().startsWith("1000000 "));
        tests.put("redirect", () -> send(to("/hop")).body().equals("path=/p/1\n"));
        tests.put("5MB", () -> send(to("/big")).body().length() == 5_000_000);
        tests.put("events", () -> send(to("/events")).body().split("data:").length == 6);
        tests.put("early_413", () -> send(to("/early").POST(BodyPublishers.ofByteArray(much))).statusCode() == 413);
        tests.put("early_413_close", () -> send(to("/early-close").POST(BodyPublishers.ofByteArray(much))).statusCode() == 413);
        tests.put("after", () -> send(to("/p/7")).body().equals("path=/p/7\n"));
        for (var test : tests.entrySet()) {
            String said;
            try { said = test.getValue().call() ? "right" : "wrong"; } catch (Exception error) { said = "wrong " + error; }
            System.out.println(test.getKey() + "=" + said);
        }
        System.exit(0);
    }
}
